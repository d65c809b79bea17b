package inspect

import (
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// TestRunNames puts words and command lines into parameters that web shells read, and into
// others.
func TestRunNames(t *testing.T) {
	for target, want := range map[string]bool{
		"/up.php?cmd=whoami":                     true,
		"/up.php?CMD=cat+/etc/hostname":          true,
		"/a?x=1&wcmd=ls+-la":                     true,
		"/a?cmd=/usr/bin/id":                     true,
		"/a?cmd=find+/var+-name+x":               true,
		"/a?cmd=login":                           false,
		"/a?cmd=view&id=7":                       false,
		"/a?cmd=find&q=shoes":                    false,
		"/a?cmd=time":                            false,
		"/a?name=whoami":                         false,
		"/a?cmdid=ls":                            false,
		"/a?cmd=" + "averylongwordthatisnothing": false,
	} {
		in := New(Config{})
		v := in.Inspect(&ingest.Event{Target: target})
		if got := v.Score >= in.Threshold() && v.Class == "cmdi"; got != want {
			t.Errorf("%s: %+v", target, v)
		}
	}
}
