package output

import (
	"encoding/json"
	"errors"
	"io"

	"github.com/parquet-go/parquet-go"

	"github.com/portcullis/portcullis/detect/store/elastic"
)

func init() {
	Register("parquet", Spec{
		Doc:    "Parquet files in folders by kind, date and hour, with the fields that are asked for most as columns and the whole document in one",
		Tested: "read back by parquet-go",
		Whole:  true, Batch: fileBytes, Interval: fileInterval,
		Config: func() any { return new(ParquetConfig) },
		Open: func(config any, _ Common) (Sink, error) {
			return newFiles(config.(*ParquetConfig).Dir, "parquet", columns)
		},
	})
}

// ParquetConfig is the "parquet" section of an output.
type ParquetConfig struct {
	Dir string `yaml:"dir" doc:"folder of the files; it is made where it is missing. Give it to one output alone"`
}

// Check implements validation for the config loader.
func (c *ParquetConfig) Check(report func(key, message string)) { checkDir(c.Dir, report) }

// Row is a document as a row of a Parquet file. Columns have the names of ECS, with
// underscores for dots; what a kind of document does not have is null.
type Row struct {
	ID          string  `parquet:"id" json:"portcullis.id"`
	Time        int64   `parquet:"timestamp,timestamp(nanosecond)" json:"-"`
	Kind        string  `parquet:"kind,dict" json:"-"`
	Version     int64   `parquet:"version" json:"-"`
	Address     *string `parquet:"source_address,optional" json:"source.address"`
	User        *string `parquet:"user_name,optional" json:"user.name"`
	Method      *string `parquet:"http_request_method,optional,dict" json:"http.request.method"`
	Status      *int64  `parquet:"http_response_status_code,optional" json:"http.response.status_code"`
	Bytes       *int64  `parquet:"http_response_body_bytes,optional" json:"http.response.body.bytes"`
	Domain      *string `parquet:"url_domain,optional,dict" json:"url.domain"`
	Path        *string `parquet:"url_path,optional" json:"url.path"`
	Agent       *string `parquet:"user_agent_original,optional,dict" json:"user_agent.original"`
	Route       *string `parquet:"portcullis_route,optional,dict" json:"portcullis.route"`
	Verdict     *string `parquet:"portcullis_verdict,optional,dict" json:"portcullis.verdict"`
	Rule        *string `parquet:"rule_id,optional,dict" json:"rule.id"`
	Severity    *int64  `parquet:"event_severity,optional" json:"event.severity"`
	SubjectKind *string `parquet:"portcullis_subject_kind,optional,dict" json:"portcullis.subject.kind"`
	Subject     *string `parquet:"portcullis_subject_value,optional" json:"portcullis.subject.value"`
	Count       *int64  `parquet:"portcullis_count,optional" json:"portcullis.count"`
	Action      *string `parquet:"event_action,optional,dict" json:"event.action"`
	State       *string `parquet:"portcullis_state,optional,dict" json:"portcullis.state"`
	Message     *string `parquet:"message,optional" json:"message"`
	Document    string  `parquet:"document" json:"-"`
}

// columns writes a Parquet file.
func columns(w io.Writer, docs []elastic.Doc) error {
	rows := make([]Row, len(docs))
	for i := range docs {
		d := &docs[i]
		text := body(d)
		_ = json.Unmarshal(text, &rows[i]) // a field of another type stays null, and the document is whole beside it
		rows[i].Time, rows[i].Kind, rows[i].Version, rows[i].Document = timeOf(d), string(d.Kind), d.Version, string(text)
	}
	p := parquet.NewGenericWriter[Row](w, parquet.Compression(&parquet.Zstd), parquet.CreatedBy("portcullis", "", ""))
	_, err := p.Write(rows)
	return errors.Join(err, p.Close())
}
