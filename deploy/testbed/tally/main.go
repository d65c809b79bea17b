// Command tally reads the output of "go test -json" and prints what a person
// wants of it: the closing line of each package as go test wrote it, the whole
// output of what failed, the reason of every skip, and at the end one line
// "N passed, N failed, N skipped", in which subtests count.
//
// The exit status is 1 when anything failed, when nothing ran, or, with -strict,
// when anything was skipped. With -closing FILE the closing lines and the count
// are also written to FILE, for a build that prints them again at its end.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	strict := flag.Bool("strict", false, "a skipped test is a failure")
	closing := flag.String("closing", "", "also write the closing lines and the count to this file")
	flag.Parse()
	t := newTally(os.Stdout)
	ok, err := t.run(os.Stdin, *strict)
	if err == nil && *closing != "" {
		err = os.WriteFile(*closing, []byte(t.closing.String()), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		ok = false
	}
	if !ok {
		// What go test still has to say must not break its pipe.
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}
}
