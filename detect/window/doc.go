// Package window holds the small, bounded pieces that detectors build their
// state from. All of them are commutative: adding the same events in another
// order gives the same content, so findings do not depend on arrival order
// within the late bound. Time is event time in whole seconds; nothing here
// reads a clock.
package window
