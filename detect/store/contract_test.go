package store_test

import (
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/detect/store/storetest"
)

func TestContract(t *testing.T) {
	db := tempDB(t)
	storetest.Run(t, db, func(t testing.TB, fs []detect.Finding, rs []detect.Rollup) {
		if err := db.Save(t.Context(), store.State{Findings: fs, Rollups: rs}); err != nil {
			t.Fatal(err)
		}
	})
}
