// Package openapi knows an API as its OpenAPI documents describe it, and says of a request
// which operation it is and where it departs from it.
//
// Documents are read with kin-openapi, once, and compiled into a tree of path segments. A
// look-up takes no memory and no lock: an API is shared by all workers, each of which has a
// Reader of its own.
package openapi
