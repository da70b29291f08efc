package demoapp

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
)

func TestPages(t *testing.T) {
	name := web.Text{ZH: "江城市市场监督管理局·网上办事", EN: "Jiangcheng Market Regulation Online"}
	site, err := web.NewSite(web.SiteOptions{Name: name, SignIn: "-", Demo: true})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := site.Pages(files)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{o: Options{Name: name, Issuer: "http://localhost:8080", Other: []Link{{web.Text{ZH: "江城市教育局·网上办事", EN: "Jiangcheng Education Online"}, "http://127.0.0.1:8082"}}}}
	own := session{claims{Subject: "pw-4QmX2vUq7b0Jt0mUuZc2dP9sB1nE5hYk8rTgLwVxAcE", Name: "周予安", ACR: "urn:signet:acr:phishing-resistant", AMR: []string{"hwk", "user", "mfa"},
		AuthTime: time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC).Unix(), all: map[string]string{"iss": "http://localhost:8080", "aud": "jiangcheng-amr-site", "exp": "1772358000",
			"iat": "1772357700", "nonce": "4QmX2vUq7b0Jt0mUuZc2dP9sB1"}}}
	firm := own
	firm.claims.Firm, firm.claims.FirmName, firm.claims.ACR, firm.claims.AMR = "91990101MA1F001175", "江城东湖老灶火锅餐饮有限公司", "urn:signet:acr:verified", []string{"pwd", "otp"}
	little := session{claims{Subject: "pw-4QmX2vUq7b0Jt0mUuZc2dP9sB1nE5hYk8rTgLwVxAcE"}}
	fixtures := []testkit.Fixture{
		{Name: "front", Page: a.frontPage()},
		{Name: "signed-in", Identity: own.identity(), Page: a.signedInPage(own)},
		{Name: "signed-in-for-firm", Identity: firm.identity(), Page: a.signedInPage(firm)},
		{Name: "signed-in-with-little", Identity: little.identity(), Page: a.signedInPage(little)},
	}
	for name, err := range map[string]error{"denied": &refused{"access_denied"}, "away": fmt.Errorf("discover provider: %w", errors.New("gone")), "unproved": errNonce} {
		fixtures = append(fixtures, testkit.Fixture{Name: "problem-" + name, Page: a.problemPage(err, true)})
	}
	testkit.CheckPages(t, site, pages, fixtures)
}
