package elastic

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
)

// made makes documents of a kind, all different.
func (r *rig) made(t testing.TB, k Kind, from, to int) []Doc {
	t.Helper()
	var docs []Doc
	for n := from; n < to; n++ {
		var d Doc
		var err error
		switch k {
		case Access:
			ev := sampleEvent(n)
			d, err = r.AccessDoc(&ev, Verdict{}, nil)
		case Traffic:
			d, err = r.TrafficDoc(detect.Rollup{Minute: 1795910280 + int64(n/50)*60, Source: "gate", Route: fmt.Sprintf("/api/v1/things%d/{id}", n%50),
				Requests: int64(n*37%9999) + 1, S2xx: int64(n * 35 % 9999), S4xx: int64(n % 90), BytesOut: int64(n) * 9973, Nanos: int64(n) * 1e7}, "")
		default:
			d, err = r.FindingDoc(sample(n))
		}
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, d)
	}
	return docs
}

var benched = []Kind{Access, Finding, Traffic}

// BenchmarkEncode is the cost of making a document.
func BenchmarkEncode(b *testing.B) {
	r := offline(b)
	ev, u, f := sampleEvent(7), detect.Rollup{Minute: 1795910280, Source: "gate", Route: "/a", Requests: 5}, sample(7)
	for _, k := range benched {
		b.Run(string(k), func(b *testing.B) {
			b.ReportAllocs()
			var d Doc
			for b.Loop() {
				switch k {
				case Access:
					d, _ = r.AccessDoc(&ev, Verdict{}, nil)
				case Traffic:
					d, _ = r.TrafficDoc(u, "")
				default:
					d, _ = r.FindingDoc(f)
				}
			}
			b.SetBytes(int64(len(d.Source)))
		})
	}
}

// BenchmarkIndex writes documents into one node on this machine, which shares its
// cores with the writer. It reports documents a second, our own CPU for each, and
// their bytes on disk once merged, without replicas. Run it with PORTCULLIS_BENCH=1 and
// -benchtime=50000x.
func BenchmarkIndex(b *testing.B) {
	if os.Getenv("PORTCULLIS_BENCH") == "" {
		b.Skip("starts Elasticsearch, and tells something of many documents only: set PORTCULLIS_BENCH=1")
	}
	for _, layout := range []string{LayoutIndex, LayoutDataStream} {
		for _, k := range benched {
			b.Run(layout+"/"+string(k), func(b *testing.B) {
				url := server(b).URL()
				r := installed(b, url, layout, func(c *Config, _ *Options) {
					c.Bulk.Bytes, c.Refresh = 5<<20, 5*time.Second
					c.Namespace = fmt.Sprintf("%s_%d", namespace(b), b.N)
				})
				docs, sum := r.made(b, k, 0, b.N), 0
				for _, d := range docs {
					sum += len(d.Source)
				}
				b.ResetTimer()
				cpu := ownCPU(b)
				for part := range slices.Chunk(docs, 20000) {
					if err := r.Write(b.Context(), part); err != nil {
						b.Fatal(err)
					}
				}
				cpu = ownCPU(b) - cpu
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "docs/s")
				b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "own-µs/doc")
				b.ReportMetric(float64(sum)/float64(b.N), "json-B/doc")
				b.ReportMetric(r.diskBytes(b, k)/float64(b.N), "disk-B/doc")
			})
		}
	}
}

// ownCPU is what this process has used.
func ownCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// diskBytes is what a kind takes on disk, merged into one segment per shard.
func (r *rig) diskBytes(b *testing.B, k Kind) float64 {
	var out struct {
		All struct {
			Primaries struct {
				Store struct {
					Size float64 `json:"size_in_bytes"`
				} `json:"store"`
			} `json:"primaries"`
		} `json:"_all"`
	}
	must(b, "POST", "/"+r.target(k)+"/_forcemerge?max_num_segments=1", "", nil)
	must(b, "POST", "/"+r.target(k)+"/_flush?force=true", "", nil)
	must(b, "GET", "/"+r.target(k)+"/_stats/store?forbid_closed_indices=false", "", &out)
	return out.All.Primaries.Store.Size
}
