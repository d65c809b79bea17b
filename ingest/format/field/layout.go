package field

import (
	"fmt"
	"strings"
	"time"
)

// Layout reads times that strftime(3) wrote, or pieces of them. Its names of months
// and days are those of the C locale.
type Layout struct {
	ops     []layoutOp
	width   int // of all that it reads, 0 if that varies
	day     bool
	clock   bool
	zone    bool
	seconds bool
}

type layoutOp struct {
	verb byte // 0 for a literal
	text string
}

// Widest is the widest layout whose last time is remembered.
const widest = 40

// memo is what a layout last read.
type memo struct {
	layout *Layout
	text   [widest]byte
	ns     int64
}

// layoutWidths are the widths of strftime's conversions, 0 where they vary.
var layoutWidths = [128]int{
	'Y': 4, 'm': 2, 'd': 2, 'e': 2, 'H': 2, 'I': 2, 'M': 2, 'S': 2, 'b': 3, 'h': 3, 'y': 2, 'a': 3, 'p': 2, 'z': 5,
}

// layoutLong are the conversions whose width varies.
const layoutLong = "sZAB"

// layoutShort are conversions that stand for several.
var layoutShort = map[byte]string{
	'T': "%H:%M:%S", 'F': "%Y-%m-%d", 'D': "%m/%d/%y", 'R': "%H:%M", 'r': "%I:%M:%S %p", 'c': "%a %b %e %H:%M:%S %Y",
	'x': "%m/%d/%y", 'X': "%H:%M:%S", 'n': "\n", 't': "\t", '%': "%",
}

// ParseLayout compiles a layout. Its error names the conversion that cannot be read.
func ParseLayout(s string) (*Layout, error) {
	l := &Layout{}
	if err := l.add(s); err != nil {
		return nil, err
	}
	have := ""
	for _, op := range l.ops {
		w := len(op.text)
		if op.verb != 0 {
			have += string(op.verb)
			w = layoutWidths[op.verb]
		}
		if w == 0 || l.width < 0 || l.width+w > widest {
			l.width = -1
			continue
		}
		l.width += w
	}
	has := func(any string) bool { return strings.ContainsAny(have, any) }
	l.width = max(l.width, 0)
	l.seconds = has("s")
	l.day = has("Yy") && has("mbhB") && has("de")
	l.clock = has("HI") && has("M")
	l.zone = has("z")
	if len(l.ops) == 0 || !l.seconds && !l.day && !l.clock && !l.zone {
		return nil, fmt.Errorf("%q holds neither a whole date nor a time of day", Capped(s))
	}
	return l, nil
}

func (l *Layout) add(s string) error {
	for s != "" {
		k := strings.IndexByte(s, '%')
		if k < 0 {
			k = len(s)
		}
		if k > 0 {
			l.literal(s[:k])
			s = s[k:]
			continue
		}
		if len(s) < 2 {
			return fmt.Errorf("a %% at the end of a time's layout")
		}
		verb := s[1]
		s = s[2:]
		if long, ok := layoutShort[verb]; ok && long[0] == '%' && len(long) > 1 {
			if err := l.add(long); err != nil {
				return err
			}
			continue
		} else if ok {
			l.literal(long)
			continue
		}
		if verb >= 128 || layoutWidths[verb] == 0 && strings.IndexByte(layoutLong, verb) < 0 {
			return fmt.Errorf("strftime's %%%c cannot be read back; of times are known %%Y %%m %%d %%e %%b %%H %%M %%S %%z %%s %%F %%T and their like", verb)
		}
		l.ops = append(l.ops, layoutOp{verb: verb})
	}
	return nil
}

func (l *Layout) literal(s string) { l.ops = append(l.ops, layoutOp{text: s}) }

// Day, Clock, Zone and Seconds tell what the layout holds: a date, a time of day, the
// zone's distance from UTC, seconds since 1970.
func (l *Layout) Day() bool { return l.day }

// Clock reports a time of day.
func (l *Layout) Clock() bool { return l.clock }

// Zone reports a distance from UTC.
func (l *Layout) Zone() bool { return l.zone }

// Seconds reports seconds since 1970.
func (l *Layout) Seconds() bool { return l.seconds }

// Width is how many bytes it always reads, 0 if that varies.
func (l *Layout) Width() int { return l.width }

// Read reads the time at b[i]: nanoseconds since 1970 where the layout has a date,
// otherwise those since midnight, less the zone's distance from UTC. The index behind
// it is -1 if there is none.
func (l *Layout) Read(c *Clock, b []byte, i int) (int64, int) {
	if l.width == 0 {
		return l.read(b, i)
	}
	if len(b)-i < l.width {
		return 0, -1
	}
	v := b[i : i+l.width]
	for k := range c.memos {
		if m := &c.memos[k]; m.layout == l && string(m.text[:l.width]) == string(v) {
			return m.ns, i + l.width
		}
	}
	ns, end := l.read(b, i)
	if end >= 0 {
		m := &c.memos[c.nextMemo%len(c.memos)]
		for k := range c.memos {
			if c.memos[k].layout == l {
				m = &c.memos[k]
			}
		}
		if m.layout != l {
			c.nextMemo++
		}
		m.layout, m.ns = l, ns
		copy(m.text[:], v)
	}
	return ns, end
}

// moment is a time while it is read.
type moment struct {
	y, m, d, h, min, s int
	offset, unix       int64
	pm, am             bool
}

func (l *Layout) read(b []byte, i int) (int64, int) {
	t := moment{d: 1}
	for k := range l.ops {
		op := &l.ops[k]
		if op.verb == 0 {
			if len(b)-i < len(op.text) || string(b[i:i+len(op.text)]) != op.text {
				return 0, -1
			}
			i += len(op.text)
			continue
		}
		if i = t.take(op.verb, b, i); i < 0 {
			return 0, -1
		}
	}
	ns, ok := t.sum(l)
	if !ok {
		return 0, -1
	}
	return ns, i
}

// sum puts a moment together.
func (t *moment) sum(l *Layout) (int64, bool) {
	if l.seconds {
		return t.unix * 1e9, t.unix > 0
	}
	if t.am || t.pm {
		t.h %= 12
	}
	if t.pm {
		t.h += 12
	}
	if t.h < 0 || t.min < 0 || t.s < 0 || t.h > 23 || t.min > 59 || t.s > 60 {
		return 0, false
	}
	sum := int64(t.h*3600+t.min*60+min(t.s, 59)) - t.offset // a leap second is told as the one before
	if l.day {
		day := midnight(t.y, t.m, t.d)
		if day < 0 {
			return 0, false
		}
		sum += day
	}
	return sum * 1e9, true
}

// take reads one conversion at b[i] and returns the index behind it, or -1.
func (t *moment) take(verb byte, b []byte, i int) int {
	w := layoutWidths[verb]
	if len(b)-i < w {
		return -1
	}
	v := b[i : i+w]
	switch verb {
	case 'Y':
		t.y = two(v[0], v[1])*100 + two(v[2], v[3])
	case 'y':
		t.y = 2000 + two(v[0], v[1])
	case 'm':
		t.m = two(v[0], v[1])
	case 'b', 'h':
		t.m = month(v[0], v[1], v[2])
	case 'd', 'e':
		if v[0] == ' ' && verb == 'e' {
			t.d = two('0', v[1])
		} else {
			t.d = two(v[0], v[1])
		}
	case 'H', 'I':
		t.h = two(v[0], v[1])
	case 'M':
		t.min = two(v[0], v[1])
	case 'S':
		t.s = two(v[0], v[1])
	case 'a': // the date says it, too
	case 'p':
		t.am, t.pm = string(v) == "AM", string(v) == "PM"
	case 'z':
		var ok bool
		if t.offset, ok = zoneSeconds(v[0], v[1], v[2], v[3], v[4]); !ok {
			return -1
		}
	default:
		return t.word(verb, b, i)
	}
	return i + w
}

// word reads the conversions whose width varies.
func (t *moment) word(verb byte, b []byte, i int) int {
	if verb == 's' {
		n, end := Integer(b, i)
		t.unix = n
		if end == i || n > 9_000_000_000 {
			return -1
		}
		return end
	}
	end := i
	for end < len(b) && b[end]|0x20 >= 'a' && b[end]|0x20 <= 'z' {
		end++
	}
	if end-i < 3 {
		return -1
	}
	if verb == 'B' {
		t.m = month(b[i], b[i+1], b[i+2])
	}
	return end
}

// Wall returns when it was so late on a clock on a wall of a zone, given as if that
// were UTC. An hour that a change of the clocks repeats counts as time.Date has it.
func (c *Clock) Wall(ns int64, zone *time.Location) int64 {
	const quarter = int64(15 * time.Minute) // clocks change at full quarters
	if q := ns / quarter; q != c.quarter || zone != c.zone {
		t := time.Unix(0, q*quarter).UTC()
		there := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, zone)
		c.quarter, c.zone, c.zoneShift = q, zone, q*quarter-there.UnixNano()
	}
	return ns - c.zoneShift
}
