package desk_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// TestNewFirmsGoOnAtTheSuccessor: the agency that took the place of the one that was asked
// registers the firm, from the moment at which it may; the former looks on.
func TestNewFirmsGoOnAtTheSuccessor(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newRegistrar(t, d)
		at, other, own := c.start("lin", lakeside), c.start("lin", "江城山间小馆餐饮有限公司"), c.start("an", "江城离安餐饮有限公司")
		c.succeed("food-business", true)
		c.get("an", at).is(t, http.StatusNotFound) // the successor for another type
		c.post("an", at, approve).is(t, http.StatusNotFound)
		c.succeed(licenses.FirmType, true)
		c.get("an", at).has(t, "江城市东湖区市场监督管理局承接办理") // until the authority changes hands
		c.post("an", at, approve).is(t, http.StatusForbidden)

		c.handOver()
		c.get("an", "/desk").has(t, "待审核的企业设立申请 3")
		c.get("an", "/desk/foundings").has(t, lakeside, "受理部门：江城市东湖区市场监督管理局")
		if strings.Contains(c.get("chen", "/desk/foundings").text, lakeside) {
			t.Error("a stranger sees it")
		}
		page := c.get("wan", at)
		page.is(t, http.StatusOK)
		page.has(t, "此申请已由江城市教育局承接办理，本部门只能查看", "受理部门 江城市东湖区市场监督管理局", "登记机关 江城市教育局")
		if strings.Contains(page.body, `name="approve"`) || strings.Contains(page.body, `name="reject"`) {
			t.Error("the former agency is asked to decide")
		}
		c.post("wan", at, approve).is(t, http.StatusForbidden)
		c.post("wan", at, reject).is(t, http.StatusForbidden)
		c.post("an", own, approve).is(t, http.StatusForbidden) // their own firm, at whatever agency
		for range 2 {                                          // pressed twice
			c.post("an", at, approve).to(t, at)
		}
		f := c.founding(at)
		if f.State != licenses.FoundingDone || f.Agency != "donghu-amr" || f.Office != "jiangcheng-edu" || f.License.Agency != "jiangcheng-edu" || !strings.HasPrefix(f.Firm, "92990100") {
			t.Fatalf("%+v", f)
		}
		c.get("an", at).has(t, "已设立", "查看营业执照", "受理部门 江城市东湖区市场监督管理局", "登记机关 江城市教育局")
		if page := c.get("wan", at); strings.Contains(page.body, "/desk/licenses/") || !strings.Contains(page.text, "已设立") {
			t.Errorf("the former agency's page: %s", page.text)
		}
		c.post("an", other, reject).to(t, other)
		if f := c.founding(other); f.State != licenses.FoundingRejected || f.Office != "jiangcheng-edu" {
			t.Errorf("%+v", f)
		}
		must(t, c.licenses.WithdrawFounding(t.Context(), c.ids["an"], last(own)))
		if f := c.founding(own); f.State != licenses.FoundingWithdrawn || f.Office != "" {
			t.Errorf("%+v", f)
		}
		for _, state := range []licenses.FoundingState{licenses.FoundingDone, licenses.FoundingRejected, licenses.FoundingWithdrawn} {
			for _, agency := range []string{"donghu-amr", "jiangcheng-edu"} {
				if list, err := c.licenses.FoundingsAt(t.Context(), agency, state, "", 10); err != nil || len(list) != 1 {
					t.Errorf("%s %s: %d, %v", agency, state, len(list), err)
				}
			}
		}
		ordered := func(ctx context.Context, tx db.Tx, id string) (firm string, err error) {
			err = tx.QueryRowContext(ctx, "SELECT firm FROM ca_orders WHERE id = $1", id).Scan(&firm)
			return firm, err
		}
		n, err := c.licenses.CheckFoundings(t.Context(), ordered, func(what, problem string) { t.Errorf("%s %s", what, problem) })
		if n != 3 || err != nil {
			t.Errorf("%d checked, %v", n, err)
		}
		c.now = time.Now().AddDate(4, 0, 1) // the authority is over
		c.get("an", at).has(t, "已设立")
	})
}
