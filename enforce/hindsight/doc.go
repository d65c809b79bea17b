// Package hindsight measures decisions on the log that led to them: what each would have
// refused, and whom that would have hit beside the one it was meant for.
//
// The log is the one that was written without the decisions. Whoever was refused would
// have done other things afterwards, so what is counted is what the decisions would have
// met, not what would have become of it.
package hindsight
