// Package rule holds the detectors, one file each. A detector registers its
// Spec at init; its config section carries the defaults and their source.
package rule
