package source

// say reports what keeps the source from reading: once per message, not once per
// attempt.
func (t *tail) say(err error) {
	text := err.Error()
	if old := t.health.err.Swap(&text); old == nil || *old != text {
		t.cfg.Log.Warn("source: the log cannot be read", "source", t.cfg.Name, "error", text, "hint", hint(err))
	}
}

// well ends a trouble that was said.
func (t *tail) well() {
	if old := t.health.err.Swap(nil); old != nil {
		t.cfg.Log.Info("source: the log can be read again", "source", t.cfg.Name)
		clear(t.warned)
	}
}

// warnOnce says what does not keep the source from reading.
func (t *tail) warnOnce(what string, err error) {
	if key := what + err.Error(); !t.warned[key] && len(t.warned) < 100 {
		t.warned[key] = true
		t.cfg.Log.Warn("source: "+what, "source", t.cfg.Name, "error", err.Error(), "hint", hint(err))
	}
}

// lost counts unread bytes that cannot be had any more.
func (t *tail) lost(bytes int64, what string, more ...any) {
	t.health.losses.Add(1)
	t.health.lost.Add(bytes)
	t.cfg.Log.Error("source: "+what, append([]any{"source", t.cfg.Name}, more...)...)
}
