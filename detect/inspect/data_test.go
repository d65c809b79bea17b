package inspect

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// labelled is one row of a labelled set.
type labelled struct {
	ID         string            `json:"id"`
	Method     string            `json:"method"`
	URI        string            `json:"uri"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
	Label      string            `json:"label"`
	Class      string            `json:"class"`
	LogVisible bool              `json:"log_visible"`
}

// held says whether a row belongs to the third that is kept back from tuning.
func (r *labelled) held() bool {
	h := fnv.New32a()
	h.Write([]byte(r.ID))
	return h.Sum32()%3 == 0
}

// event is what an access log shows of the row.
func (r *labelled) event() *ingest.Event {
	return &ingest.Event{Method: r.Method, Target: r.URI, Agent: r.Headers["User-Agent"], Referer: r.Headers["Referer"]}
}

func (r *labelled) headers() [][2]string {
	var out [][2]string
	for k, v := range r.Headers {
		out = append(out, [2]string{k, v})
	}
	sort.Slice(out, func(i, j int) bool { return out[i][0] < out[j][0] })
	return out
}

// dataDir is the folder of labelled sets: those that may be shipped, or all that
// PORTCULLIS_DATA names.
func dataDir() string {
	if dir := os.Getenv("PORTCULLIS_DATA"); dir != "" {
		return dir
	}
	return filepath.Join("..", "..", "fixtures", "labelled")
}

func readLines(t testing.TB, file string, each func(line []byte)) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(z)
	sc.Buffer(nil, 4<<20)
	for sc.Scan() {
		each(sc.Bytes())
	}
	if sc.Err() != nil {
		t.Fatal(sc.Err())
	}
}

func labelledSets(t testing.TB) map[string][]labelled {
	files, err := filepath.Glob(filepath.Join(dataDir(), "*.jsonl.gz"))
	if err != nil || len(files) == 0 {
		t.Fatal("no *.jsonl.gz in PORTCULLIS_DATA", err)
	}
	out := map[string][]labelled{}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".jsonl.gz")
		readLines(t, f, func(line []byte) {
			var r labelled
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatal(f, err)
			}
			out[name] = append(out[name], r)
		})
	}
	return out
}

// tally counts rows and alarms, tuning part and held part apart.
type tally struct{ n, hit [2]int }

func (c *tally) add(held, hit bool) {
	i := 0
	if held {
		i = 1
	}
	c.n[i]++
	if hit {
		c.hit[i]++
	}
}

func (c *tally) String() string {
	p := func(i int) string {
		if c.n[i] == 0 {
			return "       -        "
		}
		return fmt.Sprintf("%6.2f%% of %5d", 100*float64(c.hit[i])/float64(c.n[i]), c.n[i])
	}
	return "tuned " + p(0) + "   held out " + p(1)
}

// TestLabelledSets prints the rates, and holds the bounds that were reached.
// PORTCULLIS_MISSES=set:label prints the rows of the tuned part that are wrong.
func TestLabelledSets(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	in := New(Config{})
	want := os.Getenv("PORTCULLIS_MISSES")
	for set, rows := range labelledSets(t) {
		views := map[string]*tally{}
		count := func(view string, r *labelled, v Verdict) {
			hit := v.Score >= in.Threshold()
			for _, class := range []string{"", "/" + r.Class} {
				k := view + " " + r.Label + class
				if views[k] == nil {
					views[k] = &tally{}
				}
				views[k].add(r.held(), hit)
			}
			if want == set+":"+r.Label && !r.held() && hit == (r.Label == "benign") && view == "full" {
				fmt.Printf("%s %s %d %s %q\n", r.ID, r.Class, v.Score, v.Why, r.URI+" "+r.Body)
			}
		}
		for i := range rows {
			r := &rows[i]
			if r.LogVisible {
				count("log", r, in.Inspect(r.event()))
			}
			count("full", r, in.InspectRequest(r.Method, r.URI, r.headers(), r.Body))
		}
		report(t, set, views)
		hold(t, set, views)
	}
}

// hold fails when the set with the cleanest labels gets worse, on either part.
func hold(t *testing.T, set string, views map[string]*tally) {
	if set != "httpparams" {
		return
	}
	found, alarms := views["log attack"], views["log benign"]
	for i := range found.n {
		if found.hit[i]*100 < found.n[i]*97 {
			t.Errorf("%s: %d of %d attacks are found, below 97 %%", set, found.hit[i], found.n[i])
		}
		if alarms.hit[i]*1000 > alarms.n[i] {
			t.Errorf("%s: %d alarms in %d benign rows, over one in a thousand", set, alarms.hit[i], alarms.n[i])
		}
	}
}

func report(t *testing.T, set string, views map[string]*tally) {
	keys := make([]string, 0, len(views))
	for k := range views {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		t.Logf("%-18s %-28s %s", set, k, views[k])
	}
}

// TestFirstPassOnLabelledSets demands that the first pass lets through every
// row that the full look scores.
func TestFirstPassOnLabelledSets(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	in := New(Config{})
	in.ungated = true
	for set, rows := range labelledSets(t) {
		for i := range rows {
			ev := rows[i].event()
			ev.Body = rows[i].Body
			if v := in.full(ev); v.Score > 0 && !in.Suspicious(ev) {
				t.Errorf("%s %s: the first pass stops %q, which scores %d (%s)", set, rows[i].ID, ev.Target, v.Score, v.Why)
			}
		}
	}
}
