package ca

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// defaultWithin is what soon means to whoever does not say.
const defaultWithin = "30d"

// listHandler searches. Without parameters it lists every certificate.
func (c *CA) listHandler(w http.ResponseWriter, r *http.Request) error {
	q, err := c.queryOf(r)
	if err != nil {
		return err
	}
	p, err := c.Search(r.Context(), q)
	if err != nil {
		return err
	}
	return writePage(w, p)
}

// expiringHandler lists what ends soon, the first to end first.
func (c *CA) expiringHandler(w http.ResponseWriter, r *http.Request) error {
	q, err := c.queryOf(r)
	if err != nil {
		return err
	}
	text := r.URL.Query().Get("within")
	if text == "" {
		text = defaultWithin
	}
	within, err := parseWithin(text)
	if err != nil {
		return err
	}
	p, err := c.Expiring(r.Context(), within, q)
	if err != nil {
		return err
	}
	return writePage(w, p)
}

// queryOf reads a search for the caller, who may see an agency's certificates alone.
func (c *CA) queryOf(r *http.Request) (Query, error) {
	caller, err := c.caller(r)
	if err != nil {
		return Query{}, err
	}
	v := r.URL.Query()
	q := Query{Text: v.Get("q"), Agency: v.Get("agency"), Status: Status(v.Get("status")), Profile: profile.Kind(v.Get("profile")), After: v.Get("after"), Limit: 100}
	if err := parseTimes(v, &q); err != nil {
		return Query{}, err
	}
	if text := v.Get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > maxList {
			return Query{}, fault.New(fault.Invalid, "the limit is a number from 1 to 1000")
		}
	}
	if caller.Agency != "" && q.Agency != "" && q.Agency != caller.Agency {
		return Query{}, errForeign
	}
	if caller.Agency != "" {
		q.Agency = caller.Agency
	}
	return q, nil
}

func parseTimes(v url.Values, q *Query) (err error) {
	for name, to := range map[string]*time.Time{"expires_after": &q.ExpiresAfter, "expires_before": &q.ExpiresBefore} {
		text := v.Get(name)
		if text == "" {
			continue
		}
		if *to, err = time.Parse(time.RFC3339, text); err != nil || to.IsZero() {
			return fault.New(fault.Invalid, "a time of expiry is written as in RFC 3339")
		}
	}
	return nil
}

// parseWithin reads whole days or hours, such as 30d or 12h.
func parseWithin(s string) (time.Duration, error) {
	unit := time.Hour
	number, ok := strings.CutSuffix(s, "h")
	if !ok {
		unit = 24 * time.Hour
		number, ok = strings.CutSuffix(s, "d")
	}
	n, err := strconv.ParseUint(number, 10, 20)
	if !ok || err != nil || n == 0 || n > uint64(maxWithin/unit) {
		return 0, fault.New(fault.Invalid, "within is a number of days or hours, such as 30d or 12h, up to ten years")
	}
	return time.Duration(n) * unit, nil
}

func writePage(w http.ResponseWriter, p Page) error {
	views := make([]certificateView, len(p.Certificates))
	for i, cert := range p.Certificates {
		views[i] = view(cert)
	}
	answer := map[string]any{"certificates": views}
	if p.Next != "" {
		answer["next"] = p.Next
	}
	return web.WriteJSON(w, http.StatusOK, answer)
}
