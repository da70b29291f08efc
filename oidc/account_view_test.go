package oidc_test

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/oidc"
)

// TestKnownTo: a person sees every client they have agreed to, by names and not by
// ids, and nobody else's.
func TestKnownTo(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		ctx := t.Context()
		b := c.signIn(t, "s1", c.wang)
		c.tokens(t, b, url.Values{"scope": {"openid profile resident"}})
		b.code(url.Values{"client_id": {"library"}, "scope": {"openid"}})
		c.tokens(t, c.signIn(t, "s2", c.li), nil)
		check(t, c.provider.DisableClient(ctx, actor, "library")) // it still stands there, to be withdrawn
		list, err := c.provider.KnownTo(ctx, c.wang.ID)
		check(t, err)
		want := []oidc.Known{{Client: "library", Name: "City library", Agency: web.Text{ZH: "本市政务服务平台", EN: "The city's own services"}},
			{Client: "permits", Name: "食品经营许可网上办理", Agency: web.Text{ZH: "东湖区市场监督管理局", EN: "Donghu Market Regulation"}}}
		for i := range list {
			if !list[i].Since.Equal(c.clock.now) || len(list[i].Learns) != 1+2*i {
				t.Errorf("%+v", list[i])
			}
			list[i].Since, list[i].Learns = want[0].Since, nil
		}
		if diff := cmp.Diff(want, list); diff != "" {
			t.Error(diff)
		}
		check(t, c.provider.WithdrawConsent(ctx, "person:x", c.wang.ID, "permits"))
		if list, err = c.provider.KnownTo(ctx, c.wang.ID); err != nil || len(list) != 1 {
			t.Errorf("%v, %v", list, err)
		}
		if list, err = c.provider.KnownTo(ctx, "nobody"); err != nil || len(list) != 0 {
			t.Errorf("%v, %v", list, err)
		}
	})
}
