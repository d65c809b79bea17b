package exchange

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"
)

// copyHead is what is kept beside a copy.
type copyHead struct {
	Read    time.Time `json:"read"`
	URL     string    `json:"url"`
	ETag    string    `json:"etag,omitempty"`
	Changed string    `json:"last_modified,omitempty"`
}

func (p *Puller) path(l *pulled, what string) string {
	return filepath.Join(p.cfg.Dir, l.cfg.Name+what)
}

// keep writes the list down for the next start; nil data is what is there.
func (p *Puller) keep(l *pulled, data []byte) error {
	if p.cfg.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(p.cfg.Dir, 0o750); err != nil {
		return err
	}
	if data != nil {
		if err := replaceFile(p.path(l, ".list"), data); err != nil {
			return err
		}
	}
	head, err := json.Marshal(copyHead{l.read, l.cfg.URL, l.etag, l.changed})
	if err != nil {
		return err
	}
	return replaceFile(p.path(l, ".json"), head)
}

func replaceFile(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o640); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// recall reads the copy of an earlier run; one that is not there, or of another list, is
// no error: it is asked for anew.
func (p *Puller) recall(l *pulled) {
	raw, err := os.ReadFile(p.path(l, ".json"))
	var head copyHead
	if p.cfg.Dir == "" || err != nil || json.Unmarshal(raw, &head) != nil || head.URL != l.cfg.URL {
		return
	}
	data, err := os.ReadFile(p.path(l, ".list"))
	if err != nil || l.take(data) != nil {
		return
	}
	l.read, l.etag, l.changed = head.Read, head.ETag, head.Changed
}
