import type { requests as en, requestMails as enMails } from "./requests-en.ts";

const categories: Record<string, string> = {
  profile: "偏好设置",
  log: "登录和操作记录",
  other: "搜索词等",
};

const fields: Record<string, string> = {
  "users.name": "您的姓名",
  "users.mobile": "您的手机号码",
  "users.language": "您的语言",
  "users.units": "您的单位",
  "users.timeZone": "您的时区",
  "users.personalisation": "是否保留您最近查看的设备",
  "users.searchHistory": "是否保留您的搜索词",
  "accounts.paymentMode": "付款方式",
  "addresses.recipient": "地址的收件人",
  "addresses.line2": "地址的第二行",
  "addresses.region": "地址的省份或地区",
  "addresses.postcode": "地址的邮政编码",
  "apiKeys.lastUsedAt": "API 密钥上次使用的时间",
  "passkeys.lastUsedAt": "通行密钥上次使用的时间",
  "apiKeys.name": "API 密钥的名称",
  "accounts.name": "账户名称",
};

export const requests: typeof en = {
  footer: "您的数据",
  title: "我的请求",
  lead: "您依法提出的请求：进展如何，最迟何时完成。",
  leadOwner: "您和账户其他成员依法提出的请求：进展如何，最迟何时完成。",
  link: "我的请求",
  toDelete: "下载或删除我的数据",
  none: "您尚未提出任何请求。您可以查看、下载、更正和删除我们持有的一切关于您的数据。",
  what: (type, scope) => `${requests.type[type] ?? type}：${scope}`,
  type: {
    access: "查看所持有的数据",
    export: "导出",
    correct: "更正",
    erase: "删除",
    restrict: "停止使用",
    object: "反对使用",
  },
  scopeOf: (scope, time) => {
    switch (scope.kind) {
      case "account":
        return "整个账户";
      case "tracks":
        return "所有定位器的位置";
      case "devices":
        return `${scope.devices.length} 台定位器及其全部位置（${scope.devices.join("、")}）`;
      case "range":
        return `定位器 ${scope.device} 自 ${time(scope.from)} 至 ${time(scope.to)} 的位置`;
      case "categories":
        return scope.categories.map((name) => categories[name] ?? name).join("、");
      case "fields":
        return scope.fields.map((name) => fields[name] ?? name).join("、");
    }
  },
  categories,
  fields,
  head: { what: "内容", asked: "提出时间", state: "状态", deadline: "最迟完成" },
  state: {
    identity_pending: "等待确认是谁提出",
    verified: "一分钟内开始",
    frozen: "进行中：已无人能够读取",
    shredding: "进行中：正在销毁密钥",
    purging: "进行中：正在删除记录",
    scrubbing: "进行中：正在清除痕迹",
    propagating: "进行中：正在通知其他位置",
    verifying: "进行中：正在检查是否还有剩余",
    cleared: "已完成",
    partially_cleared: "已完成，依法保留的除外",
    denied: "已拒绝",
    revoked: "已取消",
    expired: "已结束：无人证明身份",
  },
  waits: "由运营方处理",
  left: (minutes) => (minutes >= 120 ? `还剩 ${Math.floor(minutes / 60)} 小时` : `还剩 ${Math.max(0, minutes)} 分钟`),
  late: "已逾期",
  uncertain: "尚无该年份的日历，因此按最早的日期计算。",
  cancel: "取消",
  cancelOf: (what) => `取消：${what}`,
  receipt: "回执",
  name: "编号",
  ask: "删除一部分，或提出其他请求",
  open: "详情",

  suspended: "已暂停使用的内容",
  suspendedLead:
    "不再存储其任何数据，不再向其发送任何内容，API 密钥和运营方的工作人员都看不到它。您仍可查看、下载、更正和删除已有的内容。",
  suspendedHead: ["内容", "自", "原因", ""],
  suspendedAll: "所有定位器",
  suspendedOne: (id) => `定位器 ${id}`,
  suspendedWhy: { restricted: "应请求", objected: "因提出反对", legislation: "因法律变更" },
  undecided: "直至作出决定",
  lift: "恢复使用",
  liftOf: (what) => `恢复使用：${what}`,
  liftHint: "恢复后，此后收到的内容将重新存储。暂停期间的内容不会保留。",
  transfers: "全部停止",
  transfersLead: "法律变更时：从现在起，不再存储任何定位器的数据，也不向他人提供。您可以随时恢复。",
  suspendedDevice: (time) =>
    `自 ${time} 起暂停使用：不存储其发送的任何内容，也不向其发送任何内容。此前存储的内容仍供您查看。`,
  suspendedShort: "已暂停",

  deleteTitle: "先下载，再删除",
  deleteLead: "请先取走您想保留的内容。随后一切将在几分钟内删除，任何人都无法恢复。",
  step1: "1. 下载",
  step1Lead: "一个文件，包含我们持有的关于该账户的一切：可读的表格、轨迹和内容清单。",
  download: "下载全部",
  step2: "2. 删除",
  step2Lead: (people, devices) => `这将删除该账户，包括 ${people} 位成员、${devices} 台定位器和全部位置。`,
  step2More:
    "所有人都会退出登录，不再接收定位器的数据，密钥被销毁，记录被删除。一分钟内开始；开始之前，可以用发给每位所有者的邮件中的链接取消。",
  wait: "请等下载结束。",
  erase: "删除账户",
  partly: "只删除一部分",
  notOwner: "只有所有者可以删除账户。要离开账户，请让所有者将您移除。您可以删除我们持有的关于您本人的数据：",

  partTitle: "提出其他请求",
  partLead: "请选择要做什么，以及针对哪些内容。",
  typeField: "要做什么",
  scopeField: "针对哪些内容",
  scopes: {
    account: "整个账户",
    tracks: "所有定位器的位置；定位器保留",
    devices: "部分定位器及其发送的一切",
    range: "一台定位器在一段时间内发送的内容",
    categories: "关于我的某些类别的数据",
    fields: "某些字段",
  },
  next: "继续",
  whichDevices: "哪些定位器",
  whichDevice: "哪台定位器",
  from: "自",
  to: "至",
  timesIn: (zone) => `按 ${zone} 的时间。`,
  whichCategories: "哪些类别",
  whichFields: "哪些字段",
  noDevices: "没有您可以更改的定位器。",
  send: "提交请求",
  sendErase: "删除",
  final: "此操作无法撤销。",

  made: "已登记",
  madeLead: (time) => `最迟于 ${time} 完成；通常只需几分钟。`,
  madeKeep: "请保存此网址：回执将在那里，即使账户已不存在。",
  fetch: "下载",

  receiptTitle: "请求的回执",
  receiptLead: "它说明做了什么，并由本平台签名。其中不含任何人的身份信息。",
  receiptCheck: "由您的浏览器验证",
  receiptChecking: "正在验证……",
  receiptGood: "回执属实：签名、账本条目和公布的账本头一致。",
  receiptBad: "回执未通过验证。请保留它，并向运营方询问。",
  receiptNoScript: "要验证回执，请启用脚本，或运行：npm run -s verify-receipt receipt.json",
  receiptWhole: "签名时的回执原文",
  receiptFile: "回执文件",
  receiptPrint: "请打印或保存此页：回执保存三年。",
  receiptFields: {
    request: "请求",
    type: "请求内容",
    scopeClass: "范围",
    level: "确认方式",
    receivedAt: "提出时间",
    verifiedAt: "确认身份时间",
    deadline: "期限",
    frozenAt: "停止一切读取的时间",
    clearedAt: "完成时间",
    result: "是否按时",
    calendar: "日历",
    keysDestroyed: "销毁的密钥",
  },
  receiptScopes: {
    account: "整个账户",
    tracks: "所有定位器的位置",
    devices: "定位器及其全部位置",
    range: "一台定位器在一段时间内的位置",
    categories: "某些类别",
    fields: "某些字段",
  },
  receiptResults: { done: "是", late: "否，已逾期", partial: "部分" },
  receiptStores: "各处的情况及剩余",
  receiptStoreHead: ["位置", "删除的行", "字节", "销毁的密钥", "剩余"],
  receiptHeld: "依法保留",
  heldReasons: { hold: "命令或权利主张", statute: "法规", obligation: "未了结的义务" } as Record<string, string>,
  heldBases: {
    court_order: "法院命令",
    authority_order: "主管机关命令",
    legal_claim: "法律主张",
    incident: "安全事件",
    "cn-shenzhen-passenger": "深圳，客运车辆",
    "cn-road-transport": "中国，道路运输",
    tax_law: "税法",
    ecommerce_law: "电子商务法",
    warranty: "保修",
    contract: "合同",
    dispute: "争议",
  } as Record<string, string>,
  heldUntil: (reason: string, basis: string, until: unknown) => [`${reason}（${basis}），最迟至 `, until],
  stores: {
    tracks: "轨迹数据库",
    records: "账户数据库",
    keys: "密钥库",
    range: "部分轨迹",
    fields: "字段和偏好设置",
    trackers: "定位器",
    tombstones: "其他副本",
    silenced: "仍在发送的定位器",
  },

  publicTitle: "请求删除您的数据",
  publicLead: "供无法登录的人使用。能够登录的人可在个人资料中立即办理。",
  publicSignIn: "登录",
  publicHow:
    "我们会向您已确认的邮箱发送一个链接。它会要求输入身份验证器应用的代码或恢复代码。没有代码时，由我们的两名工作人员在一个工作日内决定，所有相关人员会在生效前一天得到通知。任何人都不会索要身份证复印件。",
  publicCopy: "数据副本只提供给已登录的人：",
  publicReset: "通过邮件设置新密码。",
  email: "您的电子邮箱",
  askLink: "把链接发给我",
  askedTitle: "请查看您的邮箱",
  asked: (email) =>
    `如果 ${email} 在这里有账户，链接正在发送。它一小时内有效，只能使用一次。在您使用它之前，不会做任何事。`,

  verifyTitle: "证明是您本人",
  verifyLead: "邮件是第一项证明，代码是第二项。",
  verifyWhat: "您的请求",
  code: "身份验证器应用的代码，或恢复代码",
  verify: "确认",
  noCode: "两者都没有",
  noCodeLead: "那么由我们的两名工作人员在一个工作日内决定是否为您本人。",
  verified: "已登记，一分钟内开始。每个已确认的邮箱都会收到通知和取消链接。",
  leftToStaff: "已交由我们的工作人员处理。您会收到邮件通知。",

  cancelTitle: "取消此请求？",
  cancelLead: "在尚未开始执行之前，可以撤回。",
  cancelled: "已取消。没有任何改变。",
  cancelTooLate: "为时已晚：已经开始，或已经结束。",

  adminLead: "客户依法提出的请求。请先看期限最近的；这里不显示他们是谁。",
  adminNone: "没有人提出请求。",
  adminOpen: "仅未结束",
  adminAll: "全部",
  adminTitle: (name) => `请求 ${name}`,
  account: "账户",
  level: "确认方式",
  levels: { V0: "已登录并再次证明", V1: "邮件和代码", V2: "两名工作人员，并提前一天通知" },
  counts: "生效时间",
  confirmations: "确认人",
  confirmBy: (id) => `工作人员 ${id}`,
  wrongCodes: "错误代码次数",
  reason: "原因",
  reasonHint: "客户会读到。您如何得知：订单号、激活码、按下 SOS 键。切勿使用身份证复印件。",
  confirm: "是其本人",
  confirmHint: "须由两名工作人员确认。随后通知所有相关人员，一天后生效。",
  deny: "拒绝",
  resolve: "支持",
  resolveHint: "支持后，将一直暂停，直至客户恢复使用。拒绝后立即恢复。",
  inForce: "暂停使用",
  liftedAt: (time) => ["至 ", time],
  another: "已记录。还须由另一名工作人员确认。",
  announced: "已通知所有相关人员。如未被取消，一天后生效。",
  onBehalf: "登记一项请求",
  onBehalfLead: "供已失去所有联系方式的人使用。在两名工作人员确认之前，不会做任何事。",
  accountNumber: "账户编号",
  alarm: (percent) => (percent >= 100 ? "已逾期" : `时间已过 ${percent}%`),
};

export const requestMails: typeof enMails = {
  requestLink: () => ({
    subject: "关于您数据的请求",
    lines: [
      "有人用此邮箱提出了涉及您数据的请求。下面的链接一小时内有效，只能使用一次，并要求输入身份验证器应用的代码或恢复代码。",
      "如果不是您本人操作，无需理会：不会做任何事。",
    ],
    action: "证明是您本人",
  }),
  requestMade: ({ what, time }) => ({
    subject: `您的请求：${what}`,
    lines: [`有人提出了以下请求，最迟于 ${time} 完成：${what}。`, "如果不对，请立即取消：一旦开始，就无法停止。"],
    action: "取消",
  }),
  requestNotice: ({ what, time }) => ({
    subject: `一天后：${what}`,
    lines: [
      `一位无法登录的人提出了以下请求，我们的工作人员认为是你们之一：${what}。`,
      `将于 ${time} 生效。如果你们都没有提出，请取消：那样不会做任何事。`,
    ],
    action: "取消",
  }),
  requestDone: ({ what }) => ({
    subject: "已按您的请求办理",
    lines: [`有人用您的账户提出了以下请求，并已办理：${what}。`, "如果不是您本人操作，请保护您的账户。"],
    action: "保护我的账户",
  }),
  requestDenied: ({ what, reason }) => ({
    subject: "您的请求被拒绝",
    lines: [`您的请求：${what}。已被拒绝：“${reason}”`, "您可以再次提出、答复运营方，或向监管机构投诉。"],
    action: "我的请求",
  }),
  requestResolved: ({ what, reason }) => ({
    subject: "您的请求已办理",
    lines: [`您的请求：${what}。已办理：“${reason}”`, "如果这不是您所请求的，请答复运营方或再次提出。"],
    action: "我的请求",
  }),
  requestClock: ({ percent, time }) => ({
    subject: Number(percent) >= 100 ? "一项请求已逾期" : `一项请求的时间已过 ${percent}%`,
    lines: [Number(percent) >= 100 ? `期限为 ${time}。账本已永久记录。` : `期限为 ${time}。`, "提出请求的人正在等待。"],
    action: "查看",
  }),
};

export const requestActs: Record<string, string> = {
  "request.made": "依法提出了一项请求",
  "request.cancelled": "一项请求被取消",
  "request.confirmed": "工作人员确认了请求人的身份",
  "request.denied": "一项请求被拒绝",
  "request.resolved": "一项请求已办理",
  "suspension.lifted": "已恢复使用",
  "transfers.suspended": "已全部暂停",
};

export const requestProblems: Record<string, string> = {
  "This was asked for already, and is not over": "已提出过相同的请求，尚未结束。",
  "This request is being carried out, or is over: it stays as it is": "此请求正在执行或已结束，无法更改。",
  "Only the account's owner can ask this for the whole account; you can ask it for what is yours":
    "只有账户所有者可以就整个账户提出；您可以就您本人的数据提出。",
  "Only the account's owner can ask this for the positions of all devices":
    "只有账户所有者可以就所有定位器的位置提出。",
  "Only the account's owner can ask this for what is the account's": "只有账户所有者可以就账户的数据提出。",
  "Viewers can ask this for what is held about themselves only": "查看者只能就关于其本人的数据提出。",
  "% must name at least one device": "请至少选择一台定位器。",
  "% must name devices that are yours": "请选择您的定位器。",
  "% must name at least one field": "请至少选择一个字段。",
  "% must be account, tracks or devices: nothing else can be left unused alone":
    "只能暂停使用整个账户、所有位置或部分定位器。一段时间或一部分内容可以删除。",
  "% must not be range: object to the use of a device, or have the stretch erased":
    "不能只反对一段时间。请选择定位器，或删除该段内容。",
  "Only an owner, or who asked for it, can let this go on": "只有所有者或提出请求的人可以恢复使用。",
  "This goes on already": "已恢复使用。",
  "This device is suspended: nothing is sent to it until it goes on":
    "此定位器已暂停使用：恢复之前不会向其发送任何内容。",
  "% must be a day and a time": "请输入日期和时间。",
  "% must be after scope.from": "结束时间必须晚于开始时间。",
  "% must not be in the future": "开始时间不能在将来。",
  "% must be of profile, log, other": "请至少选择一个类别。",
  "% must be of profile, log, other: positions and devices are asked for as tracks, range or devices":
    "请从列表中选择类别。",
  "No such receipt: it is there when the request has been carried out": "没有此回执：请求执行完毕后才会有。",
  "No such request": "没有此请求。",
  "No such link": "没有此链接。",
  "This link was used already: its request is decided, or is being decided": "此链接已被使用：请求已决定或正在处理。",
  "Your address was changed in the last # hours: let the staff decide it":
    "您的邮箱在过去 # 小时内更换过：请交由工作人员决定。",
};
