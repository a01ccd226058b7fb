import type { MailTexts } from "../mails.ts";

const notYou = "如果不是您本人操作，请立即保护您的账户：所有登录和 API 密钥都将失效。";
const ignore = "如果不是您本人操作，无需理会：不点击链接，就不会有任何变化。";

export const mail: MailTexts = {
  signup: () => ({
    subject: "请确认您的邮箱地址",
    lines: [
      "有人（希望是您本人）正在用此邮箱地址创建账户。请点击下面的链接确认；链接七天内有效，只能使用一次。",
      "如果不是您本人操作，无需理会：七天后相关信息会全部删除。",
    ],
    action: "确认邮箱地址",
  }),
  signupKnown: () => ({
    subject: "您已有账户",
    lines: [
      "有人尝试用此邮箱地址创建账户，但该地址已有账户。请直接登录；如果忘记密码，可在登录页面重设。",
      "如果不是您本人操作，无需理会：您的账户没有变化。",
    ],
    action: "登录",
  }),
  reset: () => ({
    subject: "设置新密码",
    lines: ["有人为您的账户申请了新密码。下面的链接一小时内有效，只能使用一次。", ignore],
    action: "设置密码",
  }),
  passwordChanged: () => ({
    subject: "您的密码已更改",
    lines: ["您账户的密码已更改，其他登录均已退出。", notYou],
    action: "保护我的账户",
  }),
  emailChange: () => ({
    subject: "请确认您的新邮箱地址",
    lines: ["有账户将改用此邮箱地址。请点击下面的链接确认；链接一天内有效，只能使用一次。", ignore],
    action: "确认邮箱地址",
  }),
  emailChanged: () => ({
    subject: "您的账户已更换邮箱地址",
    lines: [
      "您的账户已改用另一个邮箱地址；这是发往此地址的最后一封邮件。",
      "如果不是您本人操作，请点击下面的链接：账户将恢复使用此地址，并终止他人可能利用的一切访问。链接三天内有效。",
    ],
    action: "保护我的账户",
  }),
  mobileChanged: () => ({
    subject: "您的手机号码已更改",
    lines: ["您账户的手机号码已更改或删除。", notYou],
    action: "保护我的账户",
  }),
  newSignIn: ({ browser, time }) => ({
    subject: "您的账户有新的登录",
    lines: [`有人用一个未曾见过的浏览器登录了您的账户：${browser}，${time}。`, "如果是您本人操作，无需理会。", notYou],
    action: "保护我的账户",
  }),
  lockout: ({ time }) => ({
    subject: "登录错误次数过多",
    lines: [
      `有人尝试登录您的账户，错误次数过多。${time} 之后才能再次登录。`,
      "如果是您本人操作，请届时重试，或设置新密码。如果不是，您的账户是安全的：没有人登录成功。启用第二重验证可使账户更安全。",
    ],
    action: "设置密码",
  }),
  factorAdded: ({ what }) => ({
    subject: "您添加了登录方式",
    lines: [`您的账户现在可以使用：${what}。`, notYou],
    action: "保护我的账户",
  }),
  factorRemoved: ({ what }) => ({
    subject: "您移除了登录方式",
    lines: [`您的账户不再要求或接受：${what}。`, notYou],
    action: "保护我的账户",
  }),
  report: () => ({
    subject: "保护您的账户",
    lines: [
      "有人请求保护您的账户。打开下方链接并点击按钮，您的所有登录和 API 密钥都会立即失效。链接一天内有效，只能使用一次。",
      ignore,
    ],
    action: "保护我的账户",
  }),
  secured: () => ({
    subject: "您的账户已受到保护",
    lines: [
      "应“保护我的账户”页面上的请求，您的所有登录和 API 密钥均已失效。请设置新密码后继续使用。",
      "如果不是您本人操作，也请设置新密码：只有您能读到这封邮件。",
    ],
    action: "设置密码",
  }),
  invite: ({ account }) => ({
    subject: "您收到一份邀请",
    lines: [
      `“${account}”邀请您加入。下面的链接仅供您本人使用，七天内有效，只能使用一次。`,
      "如果您不认识对方，无需理会：七天后您的邮箱地址会被删除。",
    ],
    action: "加入",
  }),
  activationTries: ({ device }) => ({
    subject: "有人为您的设备输入了错误的激活码",
    lines: [
      `有人为您尾号 ${device} 的定位设备输入了错误的激活码。设备仍属于您；一小时内不能再次尝试。`,
      "您无需操作。如果是您本人输入的：该设备已在您的账户中。",
    ],
    action: "查看设备",
  }),
  statementChanged: ({ title, effective }) => ({
    subject: `新版本：${title}`,
    lines: [
      `“${title}”将于 ${effective} 变更。请阅读变更内容，并决定是否接受。`,
      "自该日起，在您接受之前，您可以查看、导出和删除属于您的数据，但不能进行其他更改。",
    ],
    action: "阅读并决定",
  }),
  windowOpened: ({ until }) => ({
    subject: "客服可以查看您的设备",
    lines: [
      `您的账户已允许我们的工作人员在 ${until} 之前查看您设备的位置。每次查看都会向您列出，您可以随时终止。`,
      notYou,
    ],
    action: "查看记录",
  }),
  setup: () => ({
    subject: "您已成为工作人员",
    lines: [
      "管理员为您创建了账户，用于管理本系统。请设置密码；链接七天内有效，只能使用一次。",
      "如果您并不知情，无需理会。",
    ],
    action: "设置密码",
  }),
};
