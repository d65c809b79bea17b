package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"

	"github.com/portcullis/portcullis/detect/inspect"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/decode"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/internal/cliout"
)

// ClassifyCmd is "portcullis classify".
type ClassifyCmd struct {
	Files  []string `arg:"" name:"file" help:"Logs, plain or .gz; - is standard input."`
	Format string   `name:"format" default:"auto" help:"Format of the lines; \"requests\" reads JSON lines with method, uri, headers and body."`
}

// Help implements kong.HelpProvider.
func (*ClassifyCmd) Help() string {
	return `One JSON object for every line, in order: n, verdict (attack, benign, rejected), classes, score, where, matched.

Examples:
  portcullis classify access.log | jq -c 'select(.verdict == "attack")'
  echo '{"method":"GET","uri":"/?id=1%27%20OR%201=1--"}' | portcullis classify --format requests -`
}

// verdict is one line of the output contract.
type verdict struct {
	N       int64    `json:"n"`
	Verdict string   `json:"verdict"`
	Classes []string `json:"classes"`
	Score   int      `json:"score"`
	Where   string   `json:"where"`
	Matched string   `json:"matched"`
	Why     string   `json:"why,omitempty"`
}

func asVerdict(v inspect.Verdict, threshold int) verdict {
	out := verdict{Verdict: "benign", Classes: []string{}, Score: v.Score}
	if v.Score >= threshold {
		out.Verdict, out.Classes, out.Where, out.Matched, out.Why = "attack", v.Classes, v.Field, v.Matched, v.Why
		if len(out.Classes) == 0 {
			out.Classes = []string{v.Class}
		}
	}
	return out
}

// Run implements the command.
func (c *ClassifyCmd) Run(ctx context.Context, app *App) error {
	if c.Format != "requests" {
		if _, err := format.Open(c.Format); err != nil {
			return usageError{err: err, command: "portcullis classify"}
		}
	}
	s, err := app.Settings()
	if err != nil {
		return err
	}
	files, err := openAll(c.Files)
	if err != nil {
		return err
	}
	defer closeAll(files)
	out := cliout.NewJSONL(app.Out)
	k := &classifier{settings: s, in: inspect.New(s.Inspect), out: out}
	if c.Format == "requests" {
		err = k.requests(ctx, files)
	} else {
		err = k.lines(ctx, app, files, c.Format)
	}
	return errors.Join(err, out.Flush())
}

type classifier struct {
	settings *Settings
	in       *inspect.Inspector
	out      *cliout.JSONL
	n        int64
	err      error
}

func (k *classifier) put(v verdict) {
	k.n++
	v.N = k.n
	if k.err == nil {
		k.err = k.out.Write(&v)
	}
}

func (k *classifier) reject(reason string) {
	k.put(verdict{Verdict: "rejected", Classes: []string{}, Why: reason})
}

// lines classifies the lines of logs.
func (k *classifier) lines(ctx context.Context, app *App, files []replayFile, name string) error {
	log, err := app.Logger("warn", k.settings.Log.Format)
	if err != nil {
		return err
	}
	_, ident, err := identityOf(k.settings, false)
	if err != nil {
		return err
	}
	formats := map[string]format.Format{}
	for _, f := range files {
		if formats[f.Name()], err = format.Open(name); err != nil {
			return err
		}
	}
	start := now().UnixNano()
	d, err := decode.NewPlan(formats, ident, decode.Options{Routes: k.settings.Routes, Say: sayFormat(log), NoTime: func() int64 { return start }}).New()
	if err != nil {
		return err
	}
	for _, f := range files {
		err := f.Run(ctx, nil, func(_ context.Context, b *ingest.Batch) error {
			k.batch(d, b)
			b.Release()
			return errors.Join(k.err, ctx.Err())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// batch classifies a batch; lines that the source refused stand among the others
// by their offset.
func (k *classifier) batch(d *decode.Decoder, b *ingest.Batch) {
	refused := b.Rejects
	before := func(offset int64) {
		for len(refused) > 0 && refused[0].Pos.Offset < offset {
			k.reject(refused[0].Reason.String())
			refused = refused[1:]
		}
	}
	sort.Slice(refused, func(i, j int) bool { return refused[i].Pos.Offset < refused[j].Pos.Offset })
	d.Decode(b, func(ev *ingest.Event) {
		before(ev.Pos.Offset)
		k.put(asVerdict(k.in.Inspect(ev), k.in.Threshold()))
	}, func(r ingest.Reject) {
		before(r.Pos.Offset)
		k.reject(r.Reason.String())
	})
	before(1<<63 - 1)
}

// request is one line of the format "requests".
type request struct {
	Method  string            `json:"method"`
	URI     *string           `json:"uri"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// requests classifies JSON lines.
func (k *classifier) requests(ctx context.Context, files []replayFile) error {
	for _, f := range files {
		err := f.Run(ctx, nil, func(_ context.Context, b *ingest.Batch) error {
			for line := range bytes.Lines(b.Data) {
				k.request(line)
			}
			for _, r := range b.Rejects {
				k.reject(r.Reason.String())
			}
			b.Release()
			return errors.Join(k.err, ctx.Err())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (k *classifier) request(line []byte) {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		k.reject(fmt.Sprintf("not a JSON request: %.120s", err))
		return
	}
	if r.URI == nil {
		k.reject("no uri")
		return
	}
	names := make([]string, 0, len(r.Headers))
	for n := range r.Headers {
		names = append(names, n)
	}
	sort.Strings(names)
	headers := make([][2]string, len(names))
	for i, n := range names {
		headers[i] = [2]string{n, r.Headers[n]}
	}
	k.put(asVerdict(k.in.InspectRequest(r.Method, *r.URI, headers, r.Body), k.in.Threshold()))
}
