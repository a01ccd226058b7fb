import type { exports as en } from "./exports-en.ts";

export const exports: typeof en = {
  title: "下载我的数据",
  link: "下载我的数据",
  lead: "我们保存的关于您的全部数据，以文件形式提供，您可以保存、查看并带到别处使用。",
  whole: "包含整个账户的数据。人员的个人数据只属于其本人，因此人员方面只包含您自己的数据。",
  own: "包含关于您以及您可以查看的设备的数据。整个账户的数据由账户所有者导出。",
  what: "一个 ZIP 文件：每张表有 JSON Lines 和 CSV 两种格式，每台设备的轨迹有 JSON Lines、CSV、GPX 和 GeoJSON 四种格式，并附带一份经过签名的内容清单。",
  fresh: "文件在您下载时生成，这里不保留副本。位置数据较多时需要几分钟。",
  never: "其中绝不包含密码、密钥和链接，只说明它们存在。",
  sealed: "文件已用账户的封存密钥加密。请在您自己的电脑上用该密钥文件打开：",
  make: "生成下载",
  ready: "已准备好",
  readyHint: "在下方时间之前有效，且只能在您自己的登录会话中使用。此链接只显示这一次。",
  fetch: "下载 ZIP 文件",
  until: "有效期至",
  links: "仍可下载的文件",
  head: ["生成时间", "有效期至", "最近下载", ""],
  none: "没有。",
  notYet: "尚未下载",
  revoke: "撤销",
  revokeLabel: (id: number) => `撤销下载 ${id}`,
};
