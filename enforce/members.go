package enforce

import (
	"fmt"

	"github.com/portcullis/portcullis/detect"
)

// membersJudged bounds how many of those that a finding lists are judged at once, the
// surest first. The others come when the finding grows, or by findings of their own.
const membersJudged = 256

// member is a finding as it concerns one of its members: as sure as it is that he takes
// part, and without the standing, which is that of all of them.
func member(f *detect.Finding, m detect.Member) detect.Finding {
	one := *f
	one.Subject, one.Members, one.Suspects, one.Standing = m.Subject, "", "", detect.Standing{}
	one.Confidence *= min(max(m.Score, 0), 1)
	one.Count = m.Count
	one.Why = fmt.Sprintf("%s; one of those who take part in it", f.Why)
	if one.Route == "" && f.Subject.Kind == "route" {
		one.Route = f.Subject.Value
	}
	return one
}
