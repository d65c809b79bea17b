package gateway

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// nginxSlow is a subject that is no address, and throttled: all its requests share one
// budget, wherever they come from.
type nginxSlow struct {
	kind, name string
	class      nginxClass
}

// namesPart renders subjects that are no addresses. A map takes no notice of case, so what
// it yields is compared once more: it is the name itself, or a blank, which no name is.
// All kinds are there, so that the server file never refers to one that is not.
func (s *nginxState) namesPart(cfg NginxConfig) string {
	var b strings.Builder
	b.WriteString("# Subjects that are no addresses.\n")
	for _, kind := range subjectKinds {
		place := cfg.Subjects[kind]
		if place == "" {
			fmt.Fprintf(&b, "map $host $portcullis_is_%s { default \" \"; }\n", kind)
			continue
		}
		fmt.Fprintf(&b, "map %s $portcullis_is_%s {\n\tdefault \" \";\n", place, kind)
		foldedNames(&b, s.names[kind], func(name string) string { return name })
	}
	return b.String() + "\n"
}

// foldedNames ends a map with what each name yields.
func foldedNames(b *strings.Builder, names []string, value func(name string) string) {
	folded := map[string][]string{}
	for _, name := range names {
		folded[strings.ToLower(name)] = append(folded[strings.ToLower(name)], name)
	}
	for _, low := range slices.Sorted(maps.Keys(folded)) {
		for _, name := range folded[low] {
			if len(folded[low]) == 1 {
				fmt.Fprintf(b, "\t\"%s\" \"%s\";\n", name, value(name))
			} else { // two that differ in case only
				fmt.Fprintf(b, "\t\"~^%s$\" \"%s\";\n", regexp.QuoteMeta(name), value(name))
			}
		}
	}
	b.WriteString("}\n")
}

// slowPart renders the throttles of subjects that are no addresses. The first map yields the
// class and the name as it is held. A map takes no notice of case, so the second has a
// pattern compare that name with the one that was sent. A budget that an address has of its
// own goes before, and of several subjects of one request the first kind.
func (s *nginxState) slowPart(cfg NginxConfig) string {
	var b strings.Builder
	b.WriteString("# Subjects that are no addresses, throttled.\nmap $host $portcullis_named { default \"\"; }\nmap $host $portcullis_named_who { default \"\"; }\n")
	last := "$portcullis_named"
	for _, kind := range slices.Backward(slices.Sorted(maps.Keys(cfg.Subjects))) {
		class, names := map[string]string{}, []string(nil)
		for _, n := range s.slow {
			if n.kind == kind {
				class[n.name] = n.class.name()
				names = append(names, n.name)
			}
		}
		if len(names) == 0 {
			continue
		}
		place, slow, is := cfg.Subjects[kind], "$portcullis_slow_"+kind, "$portcullis_slowed_"+kind
		fmt.Fprintf(&b, "map %s %s {\n\tdefault \"\";\n", place, slow)
		foldedNames(&b, names, func(name string) string { return class[name] + " " + name })
		fmt.Fprintf(&b, "map \"%s %s\" %s { default \"\"; \"~^(?<portcullis_rate_of_%s>r[0-9_]+b[0-9]+) (.+) \\2$\" $portcullis_rate_of_%s; }\n", slow, place, is, kind, kind)
		next := "$portcullis_named_" + kind
		fmt.Fprintf(&b, "map %s %s { \"\" %s; default %s; }\nmap %s %s_who { \"\" %s_who; default \"%s %s\"; }\n", is, next, last, is, is, next, last, kind, slow)
		last = next
	}
	fmt.Fprintf(&b, "map $portcullis_everywhere $portcullis_wide { \"\" %s; default $portcullis_everywhere; }\n", last)
	fmt.Fprintf(&b, "map $portcullis_everywhere $portcullis_wide_who { \"\" %s_who; default $portcullis_who; }\n\n", last)
	return b.String()
}
