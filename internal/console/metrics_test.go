package console_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// counted returns the counters as NAME VALUE VALUE: N, with the labels' values in
// the order of their names.
func (c *city) counted() map[string]float64 {
	c.t.Helper()
	families, err := c.metrics.Gather()
	must(c.t, err)
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			parts := []string{strings.TrimSuffix(strings.TrimPrefix(f.GetName(), "signet_console_"), "_total")}
			for _, l := range m.GetLabel() {
				parts = append(parts, l.GetValue())
			}
			found[strings.Join(parts, " ")] = m.GetCounter().GetValue()
		}
	}
	return found
}

func TestMetrics(t *testing.T) {
	c := newCity(t, sqlite(t))
	c.get("dan", "/security").want(403)
	c.api("dan", "GET", "officers", nil).want(403)
	c.get("ann-weak", "/security").want(403)
	id := c.ask("ann", "red")
	c.post("ann", "/security/requests/"+id+"/reject", "reason", "").want(403)
	c.approve("bob", id).want(200)
	c.api("ann", "POST", "requests/"+id+"/withdraw", map[string]any{}).want(409)
	want := map[string]float64{"acts approve done page": 1, "acts reject refused page": 1, "acts submit done page": 1, "acts withdraw refused api": 1,
		"refused not_officer": 2, "refused weak_proof": 1}
	if got := c.counted(); !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, slices.Sorted(maps.Keys(want)))
	}
}
