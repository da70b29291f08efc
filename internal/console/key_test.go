package console_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

func sqlite(t testing.TB) *db.DB { t.Helper(); return testkit.SQLite(t) }

// eventsOf returns the records about an object of one kind.
func (c *city) eventsOf(kind, object string) (list []audit.Record) {
	c.t.Helper()
	must(c.t, c.db.Read(c.t.Context(), func(tx db.Tx) (err error) {
		list, err = audit.Find(c.t.Context(), tx, audit.EventFilter{Kind: kind, Object: object})
		return err
	}))
	return list
}

func (c *city) paused(id string) bool {
	c.t.Helper()
	k, err := c.ring.Find(c.t.Context(), id)
	must(c.t, err)
	return !k.Paused.IsZero()
}

// TestPauseAndResume: one officer does both, alone, and the log says who and why.
func TestPauseAndResume(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		k := c.token()
		path := "/security/keys/" + k.ID
		before := c.get("ann", path).want(200, "In use", "Pause at once", "Key made", k.ID).lacks("Paused").hidden()
		to := c.post("ann", path, "pause", "1", "seen", before, "reason", "  may be\r\nstolen ").to(path + "?done=pause")
		c.get("ann", to).want(200, "Paused", "The key is paused.", "Reason: may be stolen", "宋晚晴", "Resume")
		if !c.paused(k.ID) {
			t.Fatal("the key is not paused")
		}
		e := c.eventsOf("keys.pause", "key:"+k.ID)
		if len(e) != 1 || e[0].Actor != "person:"+c.ids["ann"] || e[0].Data["reason"] != "may be stolen" {
			t.Errorf("events %+v", e)
		}
		c.get("ann", "/security").want(200, "Keys that are paused or compromised")

		// The same form again, and that of a colleague who saw the key as it was.
		c.post("ann", path, "pause", "1", "seen", before, "reason", "may be stolen").to(path + "?done=pause")
		c.post("bob", path, "pause", "1", "seen", before, "reason", "me too").to(path + "?done=pause")
		if n := len(c.eventsOf("keys.pause", "key:"+k.ID)); n != 1 {
			t.Errorf("%d events", n)
		}

		first := c.get("bob", path).hidden()
		c.post("bob", path, "resume", "1", "seen", first, "reason", "it was not").to(path + "?done=resume")
		c.post("bob", path, "resume", "1", "seen", first, "reason", "it was not").to(path + "?done=resume")
		c.get("bob", path+"?done=resume").want(200, "The key signs again.")
		c.get("bob", path+"?done=pause").want(200).lacks("The key is paused.")

		// An old form does not undo what was done since.
		second := c.get("cai", path).hidden()
		c.post("cai", path, "pause", "1", "seen", second, "reason", "again").to(path + "?done=pause")
		c.post("bob", path, "resume", "1", "seen", first, "reason", "it was not").want(409, "This key has changed meanwhile")
		if !c.paused(k.ID) {
			t.Error("an old form resumed the key")
		}
	})
}

func TestPauseRefused(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		k := c.token()
		path := "/security/keys/" + k.ID
		now := c.get("ann", path).hidden()
		for name, one := range map[string]struct {
			pairs  []string
			status int
			says   string
		}{
			"no reason":    {[]string{"pause", "1", "seen", now, "reason", " \n "}, 400, "Enter a reason"},
			"long reason":  {[]string{"pause", "1", "seen", now, "reason", strings.Repeat("x", 501)}, 400, "at most 500 characters"},
			"long Chinese": {[]string{"pause", "1", "seen", now, "reason", strings.Repeat("盗", 167)}, 400, "The reason is too long"},
			"hidden":       {[]string{"pause", "1", "seen", now, "reason", "a\u202eb"}, 400, "cannot be seen"},
			"no UTF-8":     {[]string{"pause", "1", "seen", now, "reason", "a\xff"}, 400, "cannot be seen"},
			"neither":      {[]string{"seen", now, "reason", "x"}, 400, "Something is not right"},
			"both":         {[]string{"pause", "1", "resume", "1", "seen", now, "reason", "x"}, 400, "Something is not right"},
			"nothing seen": {[]string{"pause", "1", "reason", "x"}, 409, "has changed meanwhile"},
			"another time": {[]string{"pause", "1", "seen", "active 17", "reason", "x"}, 409, "has changed meanwhile"},
		} {
			t.Run(name, func(t *testing.T) {
				c.t = t
				c.post("ann", path, one.pairs...).want(one.status, one.says)
			})
		}
		c.t = t
		if c.paused(k.ID) {
			t.Error("the key was paused all the same")
		}
		must(t, c.ring.Compromise(t.Context(), k.ID, time.Now(), "ceremony", "stolen"))
		c.get("ann", path).want(200, "Compromised", "Not believed since").lacks("Pause at once", "With a second officer")
		c.post("ann", path, "pause", "1", "seen", now, "reason", "x").want(409, "has changed meanwhile")
	})
}

func TestCalendar(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		c.get("ann", "/security").want(200, "No request waits for you.", "Make a new key", "Not made yet")
		k := c.token()
		ctx := t.Context()
		for i := range 55 {
			_, err := c.ring.Create(ctx, keys.Spec{Purpose: keys.PurposePermit, Owner: fmt.Sprintf("agency-%02d", i), Alg: keys.ES256, Backend: keys.BackendFile, Actor: "ceremony"})
			must(t, err)
		}
		// The key in use, the next one that is to be made, and 55 others.
		c.get("ann", "/security").want(200, "Sign-in tokens", "Two officers", "(due)", "agency-48", "Next page").lacks("agency-49")
		a := c.get("ann", "/security?page=2").want(200, "agency-49", "agency-54", "First page").lacks("agency-48", "Next page")
		if !strings.Contains(a.body, `href="/security/keys/`+k.ID) {
			t.Error("there is no way to the key")
		}
		c.get("ann", "/security?purpose=token").want(200, "Sign-in tokens").lacks("agency-")
		own := c.ask("ann", "red")
		c.get("ann", "/security").want(200, "Waiting for other officers", "Set the lamp", "No request waits for you.")
		c.get("bob", "/security").want(200, "Waiting for you", "Set the lamp", "宋晚晴").lacks("Waiting for other officers")
		c.get("bob", "/security/keys/"+k.ID).want(200, "With a second officer")
		if a := c.get("bob", "/security/keys/"+k.ID); !strings.Contains(a.body, "/security/requests/new/lamp.set?list="+k.ID+"&amp;to=red") {
			t.Errorf("the key's page does not lead to the request:\n%s", a.body)
		}
		c.get("bob", lampForm+"?to=red&list="+k.ID).want(200, k.ID)
		c.wait(25 * time.Hour)
		c.get("bob", "/security/requests/"+own).want(200, "Expired").lacks("Reject the request")
	})
}
