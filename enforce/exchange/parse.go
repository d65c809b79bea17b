package exchange

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Entry is one line of a list of others.
type Entry struct {
	Prefix  netip.Prefix // masked
	List    string
	Since   int64 // Unix nanoseconds
	Expires int64
}

// line is what a parser found: where, and until when, if the list says so.
type line struct {
	prefix netip.Prefix
	until  time.Time
}

// The formats of lists.
const (
	formatText = "text"
	formatCSV  = "csv"
	formatSTIX = "stix"
)

// maxLine bounds a line of a list.
const maxLine = 64 << 10

// parse reads a list. bad counts the lines that hold no address.
func parse(r io.Reader, format, column string, most int) (list []line, bad int, err error) {
	add := func(text string, until time.Time) error {
		p, ok := prefixOf(text)
		if !ok {
			bad++
			return nil
		}
		if len(list) >= most {
			return fmt.Errorf("holds more than %d entries (max_entries)", most)
		}
		list = append(list, line{p, until})
		return nil
	}
	switch format {
	case formatCSV:
		err = parseCSV(r, column, add)
	case formatSTIX:
		err = parseSTIX(r, add)
	default:
		err = parseText(r, add)
	}
	if err == nil && len(list) == 0 && bad > 0 {
		err = fmt.Errorf("holds no address in %d lines: is %s its format?", bad, format)
	}
	return list, bad, err
}

// prefixOf reads an address, a prefix, or an address with a port.
func prefixOf(s string) (netip.Prefix, bool) {
	s = strings.Trim(s, " \t\"'")
	if len(s) > 64 || strings.ContainsRune(s, '%') {
		return netip.Prefix{}, false
	}
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Prefix{}, false
		}
		return netip.PrefixFrom(ap.Addr().Unmap(), ap.Addr().Unmap().BitLen()), true
	}
	return p.Masked(), true
}

// parseText reads one address or prefix a line; what follows a blank, # or ; is a
// comment.
func parseText(r io.Reader, add func(string, time.Time) error) error {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 4096), maxLine)
	for in.Scan() {
		text := in.Text()
		if i := strings.IndexAny(text, "#;"); i >= 0 {
			text = text[:i]
		}
		fields := strings.Fields(text)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "//") {
			continue
		}
		if err := add(fields[0], time.Time{}); err != nil {
			return err
		}
	}
	return in.Err()
}

// parseCSV reads a column, by its name in the first line that is no comment, or by its
// number from 1.
func parseCSV(r io.Reader, column string, add func(string, time.Time) error) error {
	in := csv.NewReader(r)
	in.Comment, in.FieldsPerRecord, in.LazyQuotes, in.TrimLeadingSpace, in.ReuseRecord = '#', -1, true, true, true
	at := -1
	if column == "" {
		at = 0
	} else if n, err := strconv.Atoi(column); err == nil {
		at = n - 1
	}
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if at < 0 {
			for i, name := range row {
				if strings.EqualFold(strings.TrimSpace(name), column) {
					at = i
				}
			}
			if at < 0 {
				return fmt.Errorf("its first line names no column %.40q", column)
			}
			continue
		}
		if at < len(row) {
			if err := add(row[at], time.Time{}); err != nil {
				return err
			}
		}
	}
}

// stixPattern finds the addresses that a pattern compares with (STIX 2.1, part 9).
var stixPattern = regexp.MustCompile(`ipv[46]-addr:value\s*(?:=|ISSUBSET)\s*'([0-9A-Fa-f:./]{2,64})'`)

// parseSTIX reads the indicators of a bundle, or of a TAXII envelope, whose pattern is
// nothing but addresses joined by OR.
func parseSTIX(r io.Reader, add func(string, time.Time) error) error {
	var bundle struct {
		Objects []struct {
			Type    string    `json:"type"`
			Pattern string    `json:"pattern"`
			Kind    string    `json:"pattern_type"`
			Until   time.Time `json:"valid_until"`
			Revoked bool      `json:"revoked"`
		} `json:"objects"`
	}
	if err := json.NewDecoder(r).Decode(&bundle); err != nil {
		return fmt.Errorf("is no STIX bundle: %w", err)
	}
	for _, o := range bundle.Objects {
		if o.Type != "indicator" || o.Revoked || o.Kind != "" && o.Kind != "stix" {
			continue
		}
		found := stixPattern.FindAllStringSubmatch(o.Pattern, -1)
		// An address that only counts together with something else is none to block.
		rest := strings.TrimSpace(strings.NewReplacer("[", "", "]", "", "OR", "", "(", "", ")", "").Replace(stixPattern.ReplaceAllString(o.Pattern, "")))
		if len(found) == 0 || rest != "" {
			continue
		}
		for _, m := range found {
			if err := add(m[1], o.Until); err != nil {
				return err
			}
		}
	}
	return nil
}
