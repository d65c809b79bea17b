package detect_test

import (
	"maps"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
)

// TestDamageIsAnError: no changed byte loads as another state.
func TestDamageIsAnError(t *testing.T) {
	setup := detecttest.Setup{Late: 30}
	log, _, saved := halfway(t, setup)
	for name, blob := range saved.Blobs {
		for i := 0; i < len(blob); i += 1 + len(blob)/64 {
			damaged := maps.Clone(saved.Blobs)
			damaged[name] = append([]byte(nil), blob...)
			damaged[name][i] ^= 0x41
			e := detecttest.Engine(t, setup, log)
			if err := e.Restore(detect.Snapshot{Blobs: damaged}); err == nil {
				t.Errorf("%s loads with byte %d changed", name, i)
			}
			e.Close()
		}
	}
}
