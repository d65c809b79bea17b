//go:build !amd64

package marks

const fast = false

// scan is not there.
func scan(*byte, int, *Block) (seen int) { return sawStray }
