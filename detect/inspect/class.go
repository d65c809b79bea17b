package inspect

// class numbers the kinds of attack; names are what Verdict carries.
type class uint8

const (
	noClass class = iota
	sqli
	nosqli
	ldap
	xpath
	xss
	traversal
	rfi
	cmdi
	code
	ssti
	lookup
	deserial
	xxe
	ssi
	ssrf
	crlf
	shellshock
	prototype
	mail
	graphql
	exploit
	exposure
	tool
	classes // how many there are
)

var classNames = [classes]string{
	"", "sqli", "nosqli", "ldap", "xpath", "xss", "traversal", "rfi", "cmdi", "code", "ssti",
	"log4shell", "deserialisation", "xxe", "ssi", "ssrf", "crlf", "shellshock", "prototype-pollution",
	"mail", "graphql", "exploit", Exposure, Scanner,
}

// Exposure is the class of a request that only asks for what a server should not hand
// out: reconnaissance rather than injection.
const Exposure = "exposure"

// Scanner is the class of a request whose agent names a tool that looks for weak places.
const Scanner = "scanner"

// recon says whether a class is reconnaissance: it does no harm by itself.
func (c class) recon() bool { return c >= exposure }

func classByName(name string) class {
	for c, n := range classNames {
		if n == name {
			return class(c)
		}
	}
	return noClass
}

// Classes lists the classes that a verdict can name.
func Classes() []string { return append([]string(nil), classNames[1:]...) }

// context says what kind of text is looked at: a path is read differently from
// a value, and an agent from both.
type context uint8

const (
	ctxPath  context = 1 << iota
	ctxValue         // of a parameter, a header, a body field
	ctxName          // of a parameter
	ctxAgent         // user agent, or a referer that is no URL
	ctxAny   = ctxPath | ctxValue | ctxName | ctxAgent
)
