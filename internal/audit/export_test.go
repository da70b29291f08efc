package audit

// What the external tests look at.
var (
	ParseCheckpoint = parseCheckpoint
	Decode          = decode
	Batch           = batch
)

// ParseTilePath returns the canonical spelling of a tile path.
func ParseTilePath(s string) (canonical string, width int64, ok bool) {
	t, ok := parseTilePath(s)
	return t.String(), t.width, ok
}

// Within reports whether a log of size leaves has the tile.
func Within(s string, size int64) bool {
	t, ok := parseTilePath(s)
	return ok && t.within(size)
}

// EncodeContent encodes a decoded event again.
func EncodeContent(c content) ([]byte, error) {
	e := Event{Kind: c.Kind, Actor: c.Actor, Object: c.Object, Data: c.Data}
	return e.encode(c.ID, c.At)
}

// Entries of the log, as Append makes them.
var (
	EventEntry       = eventEntry
	CertificateEntry = certificateEntry
)

// Queries whose plans matter.
var (
	PendingQuery = pendingQuery
	NumberQuery  = numberQueries[3]
	DueQuery     = dueQuery
)

// FindQuery returns the query of Find.
func FindQuery(f EventFilter) string {
	query, _ := f.query()
	return query
}

// SinceQuery returns the query of Since.
func SinceQuery(kinds, limit int) string { return sinceQuery(kinds, limit) }
