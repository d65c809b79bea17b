package source

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// sibling is a rotated file beside the log. Its gen is closed: what counts are
// its beginning and its numbers.
type sibling struct {
	*gen
	rank rank
}

// rank orders rotated files by age from their names: access.log.2 is older than
// access.log.1, access.log-20260101 is older than access.log-20260102.
type rank struct {
	kind   rankKind
	number int
	date   string
}

type rankKind uint8

const (
	unranked rankKind = iota
	numbered
	dated
)

// suffixes of a rotated file: a number, a date or time, or one of two words.
var rotatedSuffix = regexp.MustCompile(`^[-._]([0-9][-._0-9T:Z+]*|old|prev)$`)

var digits = regexp.MustCompile(`[0-9]+`)

// rankOf reads the age out of what rotation added to the name.
func rankOf(added string) rank {
	groups := digits.FindAllString(added, -1)
	if len(groups) == 0 {
		if added == "" {
			return rank{}
		}
		return rank{kind: numbered} // .old, .prev: the youngest
	}
	if n, err := strconv.Atoi(groups[0]); len(groups) == 1 && len(groups[0]) <= 5 && err == nil {
		return rank{kind: numbered, number: n}
	}
	return rank{kind: dated, date: strings.Join(groups, "-")}
}

// packedNames are what packing adds to a name; only these are looked at among the
// rotated files, and how they are compressed is told by content.
var packedNames = []string{".gz", ".zst", ".xz", ".bz2"}

// unpackedName is the name of a log before it was packed.
func unpackedName(name string) (plain string, packed bool) {
	for _, ext := range packedNames {
		if plain, packed = strings.CutSuffix(name, ext); packed {
			return plain, true
		}
	}
	return name, false
}

// rotatedName returns what rotation added to base to make name, and whether it
// did: access.log → access.log.1, access.log-20260102.zst, access-20260102.log.
func rotatedName(base, name string) (added string, ok bool) {
	name, _ = unpackedName(name)
	if rest, found := strings.CutPrefix(name, base); found && rotatedSuffix.MatchString(rest) {
		return rest, true
	}
	ext := filepath.Ext(base)
	stem := strings.TrimSuffix(base, ext)
	if rest, found := strings.CutPrefix(name, stem); found && ext != "" {
		if rest, found = strings.CutSuffix(rest, ext); found && rotatedSuffix.MatchString(rest) {
			return rest, true
		}
	}
	return "", false
}

// candidates lists the names of rotated files with their rank.
func (c *FileConfig) candidates() (map[string]rank, error) {
	out := map[string]rank{}
	if c.Archives != "" {
		names, err := filepath.Glob(c.Archives)
		for _, name := range names {
			plain, _ := unpackedName(filepath.Base(name)) // the 2 of .bz2 is no number
			out[name] = rankOf(strings.TrimPrefix(plain, filepath.Base(c.Path)))
		}
		return out, err
	}
	err := listRotated(c.Path, out, rotatedName)
	// A log that is a symlink to a dated file: its like beside the target are
	// the earlier generations.
	if target, e := filepath.EvalSymlinks(c.Path); e == nil && target != c.Path {
		err = errors.Join(err, listRotated(target, out, func(base, name string) (string, bool) {
			name, _ = unpackedName(name)
			same := digits.ReplaceAllString(name, "#") == digits.ReplaceAllString(base, "#")
			return name, same && digits.MatchString(name)
		}))
	}
	return out, err
}

func listRotated(path string, out map[string]rank, match func(base, name string) (string, bool)) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if added, ok := match(filepath.Base(path), e.Name()); ok && !e.IsDir() {
			out[filepath.Join(filepath.Dir(path), e.Name())] = rankOf(added)
		}
	}
	return err
}

// errMoved makes the caller look again a little later.
var errMoved = errors.New("files are being rotated right now")

// siblings lists the rotated files that hold something, oldest first, without
// those that the path names itself (self). While a rotation renames files a
// listing may miss one or have one twice, and what a list misses is later taken
// for unread; so only a listing counts in which each name still named a file and
// which the next one repeats.
func (t *tail) siblings(self *gen) ([]sibling, error) {
	var last []sibling
	for range 8 {
		now, calm := t.listSiblings(self)
		if calm && last != nil && slices.EqualFunc(last, now, func(a, b sibling) bool {
			return a.path == b.path && a.sameInode(b.gen)
		}) {
			return now, nil
		}
		if last = now; !calm {
			last = nil
		}
	}
	return nil, errMoved
}

// listSiblings is one look; it is not calm where a name that was listed named
// nothing any more when it was opened.
func (t *tail) listSiblings(self *gen) (list []sibling, calm bool) {
	names, err := t.cfg.candidates()
	if err != nil {
		t.warnOnce("rotated files cannot be listed; unread lines in them are not found after a rotation", err)
	}
	out, calm := make([]sibling, 0, len(names)), true
	for name, r := range names {
		if plain, packed := unpackedName(name); packed {
			if _, both := names[plain]; both {
				continue // being compressed: the plain one is complete
			}
		}
		g, err := openGen(name, true)
		if errors.Is(err, fs.ErrNotExist) {
			calm = calm && danglingLink(name) // otherwise renamed meanwhile; the next listing has it
			continue
		}
		if err != nil {
			t.warnOnce("a rotated file cannot be read; unread lines in it are passed over", err)
			continue
		}
		g.close()
		if len(g.head) > 0 && (self == nil || !g.sameInode(self)) {
			out = append(out, sibling{g, r})
		}
	}
	sortByAge(out)
	return out, calm
}

// danglingLink says whether the name is a symbolic link, which may lead nowhere
// for good.
func danglingLink(name string) bool {
	fi, err := os.Lstat(name)
	return err == nil && fi.Mode()&fs.ModeSymlink != 0
}

// sortByAge puts the oldest first. Names decide where all are of one kind, as
// the times of a copy or of quick rotations say little; otherwise the time of
// the last write does.
func sortByAge(list []sibling) {
	mixed := slices.ContainsFunc(list, func(s sibling) bool {
		return s.rank.kind == unranked || s.rank.kind != list[0].rank.kind
	})
	slices.SortFunc(list, func(a, b sibling) int {
		if !mixed {
			if c := cmp.Or(cmp.Compare(b.rank.number, a.rank.number), cmp.Compare(a.rank.date, b.rank.date)); c != 0 {
				return c
			}
		}
		return cmp.Or(a.mtime.Compare(b.mtime), cmp.Compare(a.path, b.path))
	})
}

// locate finds g among siblings: by inode, or as the youngest that holds the
// same; -1 where it is not.
func locate(list []sibling, g *gen) int {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].sameInode(g) && g.is(list[i].gen) {
			return i
		}
	}
	for i := len(list) - 1; i >= 0; i-- {
		if g.is(list[i].gen) {
			return i
		}
	}
	return -1
}
