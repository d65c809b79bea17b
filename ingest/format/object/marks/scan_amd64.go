package marks

import "golang.org/x/sys/cpu"

var fast = cpu.X86.HasAVX2 && cpu.X86.HasBMI1 && cpu.X86.HasBMI2 && cpu.X86.HasPCLMULQDQ

// scan fills a block for each 64 bytes of the n at p, and one for what is left over.
// There must be 64 bytes or more; the last 64 are looked at once more for the rest, so
// that nothing beyond them is touched.
//
//go:noescape
func scan(p *byte, n int, out *Block) (seen int)
