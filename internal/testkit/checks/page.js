// What CheckPages asks of a page, from inside it. Each function returns a list of
// sentences about what is wrong.
window.signetChecks = {
  // axe runs some rules of axe-core.
  async axe(rules) {
    const found = await axe.run(document, { runOnly: rules, resultTypes: ["violations"], preload: false, elementRef: false });
    return found.violations.flatMap((v) => v.nodes.map((n) => `axe ${v.id}: ${n.target.join(" ")}: ${(n.failureSummary || v.help).replace(/\s+/g, " ")}`));
  },

  // layout finds what makes the page wider than its window.
  layout() {
    const root = document.documentElement, room = root.clientWidth;
    if (root.scrollWidth <= room) return [];
    const wide = [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > room + 0.5 && !(e.firstElementChild));
    return [`scrolls sideways: ${root.scrollWidth} > ${room} px: ${wide.slice(0, 3).map(this.name).join(", ")}`];
  },

  // targets finds controls that are lower than least CSS px.
  targets(least) {
    return [...document.querySelectorAll("button, .button, input:not([type=hidden], [type=radio], [type=checkbox]), select, .choice label")]
      .filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest(".unseen") && e.getBoundingClientRect().height < least - 0.5)
      .map((e) => `${this.name(e)} is ${e.getBoundingClientRect().height} px high, less than ${least}`);
  },

  name(e) {
    return e.localName + (e.id ? "#" + e.id : "") + (e.className ? "." + String(e.className).replace(/ /g, ".") : "") + (e.name ? `[name=${e.name}]` : "");
  },

  // begin returns how many controls Tab must reach, and listens from here on.
  begin() {
    const seen = new Set();
    this.expected = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")].filter((e) => {
      if (e.tabIndex < 0 || e.disabled || e.type === "hidden" || !e.checkVisibility({ visibilityProperty: true })) return false;
      if (e.type !== "radio") return true;
      const group = e.name + " " + (e.form ? [...document.forms].indexOf(e.form) : "");
      const chosen = [...document.querySelectorAll("input[type=radio]")].some((o) => o.checked && o.name === e.name && o.form === e.form);
      if (seen.has(group) || (chosen && !e.checked)) return false;
      seen.add(group);
      return true;
    });
    this.reached = [];
    this.wrong = [];
    document.activeElement?.blur();
    document.addEventListener("focusin", ({ target }) => {
      if (this.reached.at(-1) === target) return;
      this.reached.push(target);
      const style = getComputedStyle(target), box = target.getBoundingClientRect();
      if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) this.wrong.push(`${this.name(target)} shows no focus`);
      if (box.width < 1 || box.height < 1 || box.right < 1 || box.bottom < 1 || box.left >= innerWidth) this.wrong.push(`${this.name(target)} has the focus out of sight`);
    });
    return this.expected.length;
  },

  // left tells how many controls Tab has not reached.
  left() {
    return this.expected.filter((e) => !this.reached.includes(e)).length;
  },

  // end judges the walk.
  end() {
    const missed = this.expected.filter((e) => !this.reached.includes(e)).map((e) => `Tab does not reach ${this.name(e)}`);
    const order = this.reached.filter((e, i) => this.expected.includes(e) && this.reached.indexOf(e) === i);
    const proper = this.expected.filter((e) => order.includes(e));
    const at = order.findIndex((e, i) => e !== proper[i]);
    return [...this.wrong, ...missed, ...(at < 0 ? [] : [`Tab reaches ${this.name(order[at])} before ${this.name(proper[at])}`])];
  },
};
