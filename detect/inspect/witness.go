package inspect

import (
	"bytes"
	"unsafe"

	libinjection "github.com/corazawaf/libinjection-go"
)

// libinjectionBytes is how much of a field libinjection reads: its
// fingerprints cover five tokens.
const libinjectionBytes = 256

// witnessMost is the most that libinjection adds to a score.
const witnessMost = 20

// libinjection is one more witness: it never convicts alone, since it takes
// much English for SQL.
func (l *look) libinjection(text []byte) {
	own := 0
	for _, e := range l.ev {
		if e.class == sqli {
			own += e.weight
		}
	}
	if own >= 100 || own == 0 && !l.seen.any("'\"`(;#") {
		return
	}
	if len(text) > libinjectionBytes {
		text = text[:libinjectionBytes]
	}
	hidden := l.in.canon.flags&^sawNUL != 0 || l.in.canon.rounds > 2 // which adds to the score later
	if l.tired() && own+witnessMost < l.in.cfg.Threshold && len(l.support) == 0 && !hidden {
		return // it could not convict
	}
	l.work += len(text)
	l.spent += costWitness * len(text)
	if len(text) < 2 { // it finds nothing in a byte
		return
	}
	if !bytes.Contains(text, []byte("sp_password")) { // it knows this one in small letters only
		upper := l.capitals[:0] // and looks its words up in capitals, which it would make anew
		for _, b := range text {
			upper = append(upper, capital(b))
		}
		text = upper
	}
	if ok, _ := libinjection.IsSQLi(unsafe.String(unsafe.SliceData(text), len(text))); ok {
		w := 15
		if own >= 35 {
			w = witnessMost
		}
		l.add(sqli, w, "libinjection knows its fingerprint", 0, len(text))
	}
}
