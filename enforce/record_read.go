package enforce

// Reading what a leader wrote to the journal, for those who show it elsewhere.

// ReadDecision reads the value of a decision's record.
func ReadDecision(value []byte) (Decision, error) {
	d, _, err := decodeDecision(value)
	return d, err
}

// ReadChange reads the value of a change's record.
func ReadChange(value []byte) (Change, error) { return decodeChange(value) }

// ReadCommand reads the value of a command's record.
func ReadCommand(uid string, value []byte) (Command, error) {
	c, err := decodeCommand(value)
	c.UID, c.Done = uid, true
	return c, err
}
