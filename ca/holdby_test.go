package ca_test

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// changes a certificate's status over HTTP and returns the answer's status, what the
// certificate is then, and why not.
func changes(t *testing.T, server *httptest.Server, serial, address, token, key, body string) (status int, state, message string) {
	t.Helper()
	status, _, b := call{"POST", "/ca/v1/certificates/" + serial + address, token, key, body}.do(t, server)
	var v struct{ Status, Reason string }
	if status == 200 {
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
	}
	return status, strings.TrimSpace(v.Status + " " + v.Reason), string(b)
}

// TestHoldIsReleasedByWhoSetIt: an agency releases its own hold, and the city any. What
// the city takes over is the city's.
func TestHoldIsReleasedByWhoSetIt(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		server := c.serve(t)
		r := request(t)
		r.Agency = "donghu-amr"
		serial := c.issue(t, r).Serial
		want := func(what, token, key, act string, status int, state string) {
			t.Helper()
			address, body := "/release", `{}`
			if act != "release" {
				address, body = "/revoke", `{"reason":"`+act+`"}`
			}
			got, now, message := changes(t, server, serial, address, token, key, body)
			if got != status || now != state {
				t.Errorf("%s: %d %s", what, got, message)
			}
		}
		const hold, held = "certificateHold", "revoked certificateHold"
		want("the agency holds", "donghu", "1", hold, 200, held)
		want("and another client of the agency releases", "person", "2", "release", 200, "issued")
		want("the city holds", "officer", "1", hold, 200, held)
		want("the agency does not release", "donghu", "3", "release", 403, "")
		want("nor a person of the agency", "person", "4", "release", 403, "")
		want("nor does its own hold help", "donghu", "5", hold, 409, "")
		want("the agency does not release after that", "donghu", "6", "release", 403, "")
		want("the city releases", "officer", "2", "release", 200, "issued")
		want("the agency releases nothing", "donghu", "7", "release", 409, "")

		want("the agency holds again", "donghu", "8", hold, 200, held)
		want("the city takes it over", "officer", "3", hold, 200, held)
		want("which is repeated", "officer", "3", hold, 200, held)
		want("and not done twice", "officer", "4", hold, 409, "")
		want("the agency released it before", "donghu", "9", "release", 403, "")
		want("another agency sees nothing", "xishan", "1", "release", 404, "")
		want("the city releases what it took", "officer", "5", "release", 200, "issued")

		want("the agency holds once more", "donghu", "10", hold, 200, held)
		want("the city releases the agency's", "officer", "6", "release", 200, "issued")
		want("the city holds for the last time", "officer", "7", hold, 200, held)
		want("the agency may revoke for good", "donghu", "11", "cessationOfOperation", 200, "revoked cessationOfOperation")
		want("nobody releases that", "officer", "8", "release", 409, "")
		if _, problems := c.audit(t); len(problems) != 0 {
			t.Error(problems)
		}
		b := &bench{city: c}
		if kinds := b.kinds(t, "certificate:"+serial); count(kinds, "certificate.hold") != 1 || count(kinds, "certificate.release") != 4 || count(kinds, "certificate.revoke") != 6 {
			t.Errorf("%v", kinds)
		}
	})
}

// TestHoldFromBeforeIsTheCitys: a row of the release before does not say who holds.
func TestHoldFromBeforeIsTheCitys(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		server := c.serve(t)
		r := request(t)
		r.Agency = "donghu-amr"
		serial := c.issue(t, r).Serial
		c.exec(t, `UPDATE ca_certificates SET status = 'revoked', reason = 6, revoked_at = 1, revoke_key = 'client:donghu-app|api:k' WHERE serial = $1`, serial)
		if status, _, message := changes(t, server, serial, "/release", "donghu", "k", `{}`); status != 403 || !strings.Contains(message, "the city has set this hold") {
			t.Errorf("%d %s", status, message)
		}
		if got, err := c.Find(t.Context(), serial); err != nil || !got.Held() {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// TestHoldTakenOverInARace: once the city was told that it holds, no release of the
// agency's that was on its way has undone it.
func TestHoldTakenOverInARace(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		servers := []*httptest.Server{c.serve(t), c.serve(t)}
		for range 6 {
			r := request(t)
			r.Agency = "donghu-amr"
			serial := c.issue(t, r).Serial
			if status, _, message := changes(t, servers[0], serial, "/revoke", "donghu", "h"+serial, `{"reason":"certificateHold"}`); status != 200 {
				t.Fatal(message)
			}
			var wg sync.WaitGroup
			var taken error
			wg.Go(func() { taken = c.Revoke(t.Context(), serial, ca.CertificateHold, actor) })
			for i := range 4 {
				wg.Go(func() {
					status, _, message := changes(t, servers[i%2], serial, "/release", "donghu", serial+string(rune('a'+i)), `{}`)
					if !slices.Contains([]int{200, 403, 409}, status) {
						t.Errorf("%d %s", status, message)
					}
				})
			}
			wg.Wait()
			got, err := c.Find(t.Context(), serial)
			if err != nil || taken == nil && !got.Held() {
				t.Errorf("taken over: %v, now %s, %v", taken, got.Status, err)
			}
			if taken != nil {
				wantKind(t, taken, fault.Conflict)
			}
			if _, problems := c.audit(t); len(problems) != 0 {
				t.Error(problems)
			}
		}
	})
}

func count(list []string, s string) (n int) {
	for _, one := range list {
		if one == s {
			n++
		}
	}
	return n
}
