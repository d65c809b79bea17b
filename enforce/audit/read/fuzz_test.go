package read

import (
	"testing"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// FuzzReaders: no text makes a reader panic, and what an audit of it proposes can be
// applied.
func FuzzReaders(f *testing.F) {
	for _, s := range corpus(f, "*") {
		f.Add(s.gateway, s.archive.Files[0].Name, string(s.archive.Files[0].Data))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, gateway, name, text string) {
		if len(text) > 16<<10 {
			return
		}
		file := doc.NewFile(dir+"/"+name, []byte(text))
		c, err := audit.ReadFiles(gateway, []*doc.File{file}, audit.Options{Root: dir})
		if err != nil {
			return
		}
		r := audit.Audit(c)
		file.Apply(r.Edits())
		doc.Patch(r.Edits())
		for _, finding := range r.Findings {
			if finding.Saw == "" || finding.Check == nil {
				t.Errorf("a finding without evidence: %+v", finding)
			}
		}
	})
}
