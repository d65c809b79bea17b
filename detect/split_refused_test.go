package detect_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

// TestRefusedBetweenParts: an over-long line between the parts of a line that the
// container runtime cut must not move its partition past the parts that are kept back:
// a partition takes in only what lies behind all that it has heard of.
func TestRefusedBetweenParts(t *testing.T) {
	const head = "2026-03-02T10:00:00.5Z stdout "
	for client := range 16 { // so that the line goes to any partition
		begin := fmt.Sprintf(head+"P 192.0.2.%d - - [02/Mar/2026:10:00:00 +0000]\n", client)
		end := head + `F  "GET / HTTP/1.1" 200 5 "-" "a"` + "\n"
		for _, partitions := range []int{1, 2, 8} {
			got, refused := seen(t, partitions, betweenParts(begin, end))
			want := map[int64]string{}
			d := reader(t, "cri:nginx-combined")
			for _, b := range betweenParts(begin, end) {
				read(d, &b, want)
			}
			if !maps.Equal(got, want) {
				t.Errorf("client %d, %d partitions:\n%v\nundisturbed\n%v", client, partitions, got, want)
			}
			if long := int64(len(begin)); !slices.Equal(refused, []int64{0, long + 100, long + 300}) {
				t.Errorf("client %d, %d partitions: refused at %v", client, partitions, refused)
			}
		}
	}
}

// betweenParts is a log with over-long lines in front of a line in two parts, between
// its parts, and behind it, as a source hands it over.
func betweenParts(begin, end string) []ingest.Batch {
	at := int64(len(begin)) + 100
	refused := func(offset int64) []ingest.Reject {
		return []ingest.Reject{{Pos: ingest.Position{Source: "s", File: 1, Offset: offset}, Reason: ingest.TooLong, Length: 100}}
	}
	list := []ingest.Batch{
		{Offset: 0, Rejects: refused(0)},
		{Offset: 100, Data: []byte(begin)},
		{Offset: at, Rejects: refused(at)},
		{Offset: at + 100, Data: []byte(end)},
		{Offset: at + 200, Rejects: refused(at + 200)},
	}
	for i := range list {
		b := &list[i]
		b.Source, b.File = "s", 1
		b.Mark = ingest.Mark{Source: "s", File: 1, Offset: b.Offset + 100}
	}
	return list
}

// seen is what becomes of lines at readers that skip what is below the end of what
// they were given before, and where the refused lines are that they hear of.
func seen(t *testing.T, partitions int, batches []ingest.Batch) (lines map[int64]string, refused []int64) {
	t.Helper()
	s, err := detect.NewSplitter(detect.SplitConfig{Partitions: partitions, Seed: 7, LateSeconds: 30, Lines: reader(t, "cri:nginx-combined")})
	if err != nil {
		t.Fatal(err)
	}
	lines = map[int64]string{}
	ends := make([]int64, partitions)
	for _, b := range batches {
		parts, _ := s.Split(&b)
		for _, p := range parts {
			end := p.Batch.End()
			p.Batch.SkipTo(ends[p.Partition])
			ends[p.Partition] = max(end, ends[p.Partition])
			read(reader(t, ""), &p.Batch, lines)
			for _, r := range p.Batch.Rejects {
				refused = append(refused, r.Pos.Offset)
			}
		}
	}
	return lines, refused
}
