package webhook

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// Bounds of the feed.
const (
	feedMost  = 100              // events of one answer
	feedSteps = 10               // parts of the log that one answer looks at
	feedWait  = 30 * time.Second // longest wait
	feedRows  = 1 << 53          // beyond what JSON's numbers keep there is no place
)

// entry is an event of the feed.
type entry struct {
	Seq  int64          `json:"seq"`
	ID   string         `json:"id"`
	Type string         `json:"type"`
	At   time.Time      `json:"at"`
	Data map[string]any `json:"data"`
}

// page is an answer of the feed. Whoever asks again after Next misses nothing and sees
// nothing twice; Next moves also where nothing was to be told.
type page struct {
	Events []entry `json:"events"`
	Next   int64   `json:"next"`
}

// query is what the feed is asked.
type query struct {
	after int64 // -1 stands before the first event of the log
	now   bool  // begin with what comes
	limit int
	wait  time.Duration
}

func parseQuery(v url.Values) (q query, err error) {
	q = query{limit: feedMost, now: true}
	for name, values := range v {
		if len(values) != 1 {
			return q, fault.New(fault.Invalid, "each of after, limit and wait stands once")
		}
		n, err := strconv.ParseInt(values[0], 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != values[0] {
			return q, fault.New(fault.Invalid, "after, limit and wait are whole numbers")
		}
		switch {
		case name == "after" && n >= -1 && n < feedRows:
			q.after, q.now = n, false
		case name == "limit" && n >= 1 && n <= feedMost:
			q.limit = int(n)
		case name == "wait" && n >= 0 && n <= int64(feedWait/time.Second):
			q.wait = time.Duration(n) * time.Second
		default:
			return q, fault.New(fault.Invalid, "want after from -1, limit from 1 to 100, wait from 0 to 30 seconds, and nothing else")
		}
	}
	return q, nil
}

// getEvents answers with what the caller may see, or waits for it.
func (s *Service) getEvents(w http.ResponseWriter, r *http.Request, a *Area, c web.Caller) error {
	q, err := parseQuery(r.URL.Query())
	if err != nil {
		return err
	}
	size, err := s.size(r.Context())
	if err != nil {
		return err
	}
	if q.now {
		q.after = size - 1
	}
	if q.after >= size {
		return fault.New(fault.Invalid, "after is beyond the end of the log")
	}
	p, err := s.feed(r.Context(), a, c, q)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, p)
}

// feed reads until there is something to tell, the wait is over or enough was looked at.
func (s *Service) feed(ctx context.Context, a *Area, c web.Caller, q query) (page, error) {
	p := page{Events: []entry{}, Next: q.after}
	over := time.NewTimer(q.wait)
	defer over.Stop()
	for range feedSteps {
		grown, live := s.growth() // before reading, so that no growth is missed
		end, err := s.fill(ctx, a, c, q.limit, &p)
		if err != nil || len(p.Events) > 0 {
			return p, err
		}
		if !end {
			continue
		}
		if q.wait == 0 || !live {
			return p, nil
		}
		select {
		case <-grown:
		case <-over.C:
			return p, nil
		case <-ctx.Done():
			return p, ctx.Err()
		}
	}
	return p, nil
}

// fill reads the next part of the log into a page and reports whether it was the last.
func (s *Service) fill(ctx context.Context, a *Area, c web.Caller, limit int, p *page) (end bool, err error) {
	list, next, size, err := s.read(ctx, a, p.Next+1, limit)
	if err != nil {
		return false, err
	}
	for _, n := range list {
		if visible(c.Agency, n.Notice) {
			p.Events = append(p.Events, entry{n.seq, n.EventID, n.Type, n.At, n.Data})
		}
	}
	p.Next = next - 1
	return next >= size, nil
}
