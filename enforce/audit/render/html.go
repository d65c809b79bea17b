package render

import (
	_ "embed" // the page
	"html/template"
	"io"

	"github.com/portcullis/portcullis/enforce/audit"
)

//go:embed page.html
var page string

var pageTemplate = template.Must(template.New("page").Parse(page))

// HTML writes a report as one page that loads nothing.
func HTML(w io.Writer, r *audit.Report) error {
	return pageTemplate.Execute(w, struct {
		report
		Order []audit.Practice
	}{of(r), audit.Practices()})
}
