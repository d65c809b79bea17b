package lapi

import (
	"encoding/json"
	"net/http"
)

// maxUsage bounds a report of usage, in bytes.
const maxUsage = 1 << 20

// usage is what a bouncer says of itself.
type usage struct {
	version, kind string
	dropped       int64
}

// report is the part of the body that is read.
type report struct {
	Components []struct {
		Type    string `json:"type"`
		Version string `json:"version"`
		Metrics []struct {
			Items []struct {
				Name  string  `json:"name"`
				Value float64 `json:"value"`
			} `json:"items"`
		} `json:"metrics"`
	} `json:"remediation_components"`
}

// usage takes POST /v1/usage-metrics.
func (s *Server) usage(w http.ResponseWriter, r *http.Request, id readerID) {
	var in report
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxUsage)).Decode(&in); err != nil {
		reply(w, http.StatusBadRequest, map[string]string{"message": "the body is no report of usage, or larger than 1 MiB"})
		return
	}
	if len(in.Components) == 0 {
		reply(w, http.StatusUnprocessableEntity, map[string]string{"message": "the report names no remediation component"})
		return
	}
	c := in.Components[0]
	u := usage{version: short(c.Version), kind: short(c.Type)}
	for _, m := range c.Metrics {
		for _, it := range m.Items {
			if it.Name == "dropped" && it.Value > 0 && it.Value < 1e15 {
				u.dropped += int64(it.Value)
			}
		}
	}
	s.readers.used(id, u)
	w.WriteHeader(http.StatusCreated)
}

// short caps what a bouncer wrote.
func short(s string) string { return s[:min(len(s), 64)] }
