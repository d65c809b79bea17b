package ingest

// API is what the API's description (OpenAPI) says of a request. The zero value says that
// there is no description, or that it does not speak of the request.
type API struct {
	Facts      APIFacts
	Departures [MaxDepartures]Departure // the first ones in the path and the query; the rest is empty
}

// MaxDepartures bounds the departures that an event carries; a request may have more.
const MaxDepartures = 3

// APIFacts are what the description says of a request's path and method.
type APIFacts uint8

// The facts.
const (
	APIDescribed  APIFacts = 1 << iota // its path and method are described
	APIUnlisted                        // the description speaks for such paths, and does not have this one
	APIMethod                          // the path is described, the method is not
	APIDeprecated                      // the operation is deprecated
	APISecured                         // the operation cannot be called without credentials
)

// Departure is a parameter that is not as the description says.
type Departure struct {
	Kind DepartureKind
	Name string // of the parameter: as described, or, where it is not, as the client wrote it
}

// DepartureKind says what is wrong with a parameter.
type DepartureKind uint8

// The kinds of departures. DepartureNone is the zero value.
const (
	DepartureNone  DepartureKind = iota
	DepartureName                // the operation has no such query parameter
	DepartureValue               // the value is not of the type, format, length, pattern, range or list that is described
)

// Departs reports whether the request is not as described.
func (a *API) Departs() bool {
	return a.Facts&(APIUnlisted|APIMethod) != 0 || a.Departures[0].Kind != DepartureNone
}

// Depart notes a departure, as long as there is room, and reports whether more fit.
func (a *API) Depart(kind DepartureKind, name string) bool {
	for i := range a.Departures {
		if a.Departures[i].Kind == DepartureNone {
			a.Departures[i] = Departure{kind, name}
			return i+1 < MaxDepartures
		}
	}
	return false
}
