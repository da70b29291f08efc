import type { Verdict } from "./core/verify.ts";

// What the page says, in both languages.

export type Lang = "zh" | "en";
export type Text = Record<Lang, string>;

export const words: Record<Verdict, Text> = {
  valid: { zh: "有效", en: "Valid" },
  expired: { zh: "已过期", en: "Expired" },
  not_yet_valid: { zh: "尚未生效", en: "Not yet valid" },
  revoked: { zh: "已吊销", en: "Revoked" },
  suspended: { zh: "已暂停", en: "Suspended" },
  unknown_issuer: { zh: "签发者未知", en: "Unknown issuer" },
  issuer_not_allowed: { zh: "签发者无权", en: "Issuer not allowed" },
  key_compromised: { zh: "密钥已泄露", en: "Stolen key" },
  bad_signature: { zh: "签名不符", en: "Forged or changed" },
  malformed: { zh: "不是证照", en: "Not a permit" },
  too_large: { zh: "超出大小", en: "Too large" },
  live_copy: { zh: "动态证照的复制件", en: "Copy of a live permit" },
  undetermined: { zh: "无法判定", en: "Cannot be determined" },
};

/** By the reasons of docs/spec/verdicts.md. */
export const reasons: Record<string, Text> = {
  "": { zh: "证照真实，在有效期内，未被吊销。请核对下列内容与出示的证照、持有人是否一致。", en: "It is genuine, in force and not revoked. Compare what follows with the paper and the holder." },
  past_end: { zh: "证照真实，但已过有效期。", en: "It is genuine, but it has ended." },
  key_past_verify_until: { zh: "签发密钥已过验证期限。", en: "The time in which its key's signatures count has ended." },
  before_start: { zh: "证照真实，但尚未到生效日期。", en: "It is genuine, but it has not begun." },
  issued_after_now: { zh: "签发时间晚于当前时间，请核对本机时钟。", en: "It was issued after now. Is this device's clock right?" },
  listed_revoked: { zh: "签发机关已吊销此证，不再有效。", en: "Its agency has revoked it. It no longer counts." },
  listed_suspended: { zh: "签发机关已暂停此证，现在不得使用。", en: "Its agency has suspended it. It does not count now." },
  key_not_in_bundle: { zh: "本市没有任何机关使用这把签发密钥。", en: "No agency of this city has the key that it names." },
  outside_signing_window: { zh: "签发时间不在该密钥的签发期内。", en: "Its key was not to be used when it was issued." },
  no_authority: { zh: "该机关无权签发此类证照。", en: "The agency has no authority for this type of licence." },
  authority_not_then: { zh: "签发时该机关无权签发此类证照。", en: "The agency had no authority for this type when it was issued." },
  authority_outside_area: { zh: "授权区域超出签发机关的辖区。", en: "The agency's authority is for an area that is not its own." },
  signed_after_compromise: { zh: "签发密钥在签发前已泄露，此证不可信。", en: "It was issued after its key had been stolen. Do not trust it." },
  genuine_list_absent: { zh: "签发密钥已泄露，且没有真实证照清单可供核对。", en: "Its key was stolen, and the list of that key's genuine permits is not here." },
  not_on_genuine_list: { zh: "签发密钥已泄露，真实证照清单中没有此证。", en: "Its key was stolen, and it is not on the list of that key's genuine permits." },
  signature_does_not_verify: { zh: "签名不正确：内容被改动或系伪造。", en: "The signature is wrong: it was changed or forged." },
  not_a_permit: { zh: "内容不符合证照格式。若是拍照或复制不全，请重试。", en: "This does not have the form of a permit. If it was cut off when it was copied, try again." },
  over_a_bound: { zh: "内容超过证照允许的大小，未作处理。", en: "This is larger than a permit can be, and was not read." },
  shown_without_its_phone: { zh: "此证只在持有人手机上动态出示时有效，截图、照片和打印件都无效。", en: "It counts only when its holder shows it live on the phone. Screenshots, photographs and prints do not count." },
  no_trust: { zh: "本机还没有信任清单。请连接网络后重试。", en: "This device has no trust list yet. Connect to the network and try again." },
  trust_refused: { zh: "取得的信任清单未通过验证。", en: "The trust list that was fetched did not pass its checks." },
  trust_expired: { zh: "本机的信任清单已过期。请连接网络更新后重试。", en: "This device's trust list has expired. Connect to the network and try again." },
  clock_before_trust: { zh: "本机时钟早于信任清单的签发时间，请校正时钟。", en: "This device's clock is earlier than the trust list. Set the clock right." },
  dictionary_not_in_bundle: { zh: "信任清单中没有此证使用的字典。请连接网络更新后重试。", en: "The trust list does not have this permit's dictionary. Connect to the network and try again." },
  type_not_in_bundle: { zh: "信任清单中没有此证照类型。请连接网络更新后重试。", en: "The trust list does not have this type of licence. Connect to the network and try again." },
  no_status: { zh: "本机没有状态清单，无法得知是否被吊销。请连接网络后重试。", en: "This device has no status list: it may have been revoked. Connect to the network and try again." },
  status_refused: { zh: "状态清单未通过验证，无法得知是否被吊销。", en: "The status list did not pass its checks: it may have been revoked." },
  status_too_old: { zh: "状态清单过旧，此后可能已被吊销。请连接网络更新后重试。", en: "The status list is too old: it may have been revoked since. Connect to the network and try again." },
  status_too_old_listed: { zh: "状态清单过旧，其中此证已被吊销或暂停。请连接网络更新后重试。", en: "The status list is too old, and lists this permit as revoked or suspended. Connect to the network and try again." },
  clock_before_status: { zh: "本机时钟早于状态清单的签发时间，请校正时钟。", en: "This device's clock is earlier than the status list. Set the clock right." },
  list_not_covered: { zh: "状态清单不包含此证，无法得知是否被吊销。", en: "The status list does not cover this permit: it may have been revoked." },
  file_unreadable: { zh: "这个文件不是可读的图片或文本。请选择 PNG、JPEG 图片或文本文件。", en: "This file is not a picture or a text that can be read. Choose a PNG or JPEG picture, or a text file." },
  no_code_in_file: { zh: "没有找到证照二维码。请靠近一些、光线充足、四角完整地重新拍摄。", en: "No permit code was found. Take the picture again: closer, in good light, with all four corners." },
};

export const texts = {
  brand: { zh: "一网通办", en: "City services" },
  skip: { zh: "跳到主要内容", en: "Skip to main content" },
  looks: { zh: "语言与字号", en: "Language and text size" },
  otherLang: { zh: "English", en: "中文" },
  large: { zh: "大字版", en: "Large text" },
  normal: { zh: "标准字号", en: "Standard text" },
  title: { zh: "查验证照", en: "Check a permit" },
  lead: { zh: "扫描证照上的二维码，即可知道证照是否真实、有效、未被吊销。查验在您的设备上进行，不上传任何内容，没有网络也能用。", en: "Scan the code on a permit to learn whether it is genuine, in force and not revoked. The check is made on your own device: nothing is sent, and it works with no network." },
  camera: { zh: "用摄像头扫描", en: "Scan with the camera" },
  stop: { zh: "停止扫描", en: "Stop scanning" },
  video: { zh: "摄像头画面", en: "Picture from the camera" },
  aim: { zh: "请将二维码放入框内。", en: "Hold the code inside the frame." },
  notPermit: { zh: "看到的二维码不是证照。", en: "The code in view is not a permit." },
  file: { zh: "选择图片或文件", en: "Choose a picture or file" },
  fileHint: { zh: "PNG、JPEG 图片或文本文件，不会上传。", en: "A PNG or JPEG picture, or a text file. It is not sent anywhere." },
  paste: { zh: "粘贴证照文字", en: "Paste a permit's text" },
  pasteHint: { zh: "以 EL1: 开头。", en: "It begins with EL1:" },
  check: { zh: "查验文字", en: "Check the text" },
  again: { zh: "再查一张", en: "Check another" },
  resultTitle: { zh: "查验结果", en: "Result of the check" },
  contents: { zh: "证照内容", en: "What the permit says" },
  busy: { zh: "正在查验……", en: "Checking…" },
  about: { zh: "关于本次查验", en: "About this check" },
  asOf: { zh: "状态截至", en: "Status as of" },
  noStatus: { zh: "本机没有状态清单", en: "No status list on this device" },
  pasteNothing: { zh: "请先粘贴证照文字。", en: "Paste a permit's text first." },
  update: { zh: "立即更新", en: "Update now" },
  reload: { zh: "使用新版本", en: "Use the new version" },
  newer: { zh: "本页面有新版本。", en: "A new version of this page is ready." },
  forget: { zh: "清除本机的信任资料", en: "Forget this device's trust data" },
  forgetSure: { zh: "确定清除？下次将重新信任服务器给出的根。只有当您确知根已更换时才这样做。", en: "Forget it? The next root that the server gives will be trusted. Do this only if you know that the root was replaced." },
  foot: { zh: "查验在本机进行，不上传任何内容。", en: "The check is made on this device. Nothing is sent." },
  unsupported: { zh: "此浏览器不能查验：缺少所需的密码功能，或页面不是通过安全连接打开的。", en: "This browser cannot make the check: it lacks the cryptography, or the page was not opened over a secure connection." },
  broken: { zh: "查验没有完成，请重试。", en: "The check did not complete. Try again." },
  cameraRefused: { zh: "没有获准使用摄像头。请在浏览器设置中允许本页面使用摄像头，或选择图片、粘贴文字。", en: "The camera was not allowed. Allow it for this page in the browser's settings, or choose a picture or paste the text instead." },
  cameraAbsent: { zh: "没有找到摄像头。请选择图片或粘贴文字。", en: "No camera was found. Choose a picture or paste the text instead." },
  cameraBusy: { zh: "摄像头无法启动，可能正被其他应用使用。请关闭其他应用后重试，或选择图片。", en: "The camera did not start: another program may be using it. Close that and try again, or choose a picture." },
  ready: { zh: "本页面已可离线使用。", en: "This page is ready for use with no network." },
  loading: { zh: "正在取得信任资料……", en: "Fetching the trust data…" },
  noTrust: { zh: "本机还没有信任资料。请连接网络一次，之后即可离线使用。", en: "This device has no trust data yet. Connect to the network once; after that the page works without." },
  offline: { zh: "没有网络，使用本机保存的资料。", en: "No network: what this device keeps is used." },
  refused: { zh: "服务器给出的更新未通过验证，已拒绝，继续使用本机保存的资料。", en: "The update that the server gave did not pass its checks and was refused. What this device keeps is used." },
  rootChanged: { zh: "服务器给出的根与本机保存的不同，且未经原来的根签名，已拒绝。如果您确知根已更换，可在“关于本次查验”中清除本机资料。", en: "The server's root is not the one that this device knows, and the known root has not signed for it: it was refused. If you know that the root was replaced, forget this device's data under “About this check”." },
} satisfies Record<string, Text>;

export type Key = keyof typeof texts;

export const many = (n: number): Text => ({
  zh: `这里有 ${n} 张证照，请逐一核对。最需要注意的排在最前。`,
  en: `There are ${n} permits here. Look at each of them; the one to mind most comes first.`,
});

export const aboutTexts: Text[] = [
  { zh: "本页面先核对信任清单是否由本市的根授权，再核对证照的签名、签发机关的权限、有效期，最后核对是否被吊销或暂停。任何一步不能确定，结果就是“无法判定”，绝不会显示为有效。", en: "The page first checks that the city's root stands behind the trust list, then the permit's signature, its agency's authority and its dates, and last whether it was revoked or suspended. Where a step cannot be decided the result is “Cannot be determined”, never valid." },
  { zh: "本页面和根证书来自同一台服务器。首次打开时，本页面只能相信它，并记住当时的根；此后除非原来的根签名同意，不接受别的根。要更有把握，请将下面的指纹与官方印刷品上公布的指纹核对，或使用 signet verify --root。", en: "The page and the root's certificate come from the same server. At your first visit the page can only believe it, and keeps the root that it saw; after that it takes no other root unless the known one has signed for it. To be surer, compare the fingerprint below with one that was printed officially, or use signet verify --root." },
  { zh: "状态清单说明截至某一时刻哪些证照被吊销。此后的吊销，要到下次更新才会知道。", en: "The status list says which permits were revoked by a certain time. What was revoked later is known only after the next update." },
];

export const aboutLabels = {
  fingerprint: { zh: "根密钥指纹（SHA-256）", en: "Root key's fingerprint (SHA-256)" },
  firstSeen: { zh: "首次见到", en: "First seen" },
  bundle: { zh: "信任清单", en: "Trust list" },
  until: { zh: "至", en: "until" },
  snapshot: { zh: "状态清单", en: "Status list" },
  updated: { zh: "上次更新", en: "Last updated" },
  none: { zh: "无", en: "none" },
} satisfies Record<string, Text>;
