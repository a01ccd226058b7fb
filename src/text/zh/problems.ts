import { auth } from "./auth.ts";

const email = "请输入电子邮箱，例如 name@example.com。";
const mobile = "请输入带国家或地区代码的号码，例如 +86 139 1234 5678。";
const changed = "文本在此期间已更新。请阅读新版本后再作决定。";
const over = "此链接已被使用、已过期或属于其他账户。";

/** Every sentence that a form of a customer can provoke. */
export const problems: Readonly<Record<string, string>> = {
  // Any field
  "% must have at least # character": "请填写“%”。",
  "% must have at least # characters": "“%”至少需要 # 个字符。",
  "% must have at most # characters": "“%”最多 # 个字符。",
  "% must have # to # characters": "“%”须为 # 至 # 个字符。",
  "% must be a number": "“%”须为数字。",
  "% must be a whole number": "“%”须为整数。",
  "% must be at least #": "“%”不能小于 #。",
  "% must be at least -#": "“%”不能小于 -#。",
  "% must be at most #": "“%”不能大于 #。",
  "% must be a whole number from # to #": "“%”须为 # 至 # 的整数。",
  "% must be one line": "“%”须为一行文字。",
  "% must be plain text": "“%”含有无法保存的字符。",
  "% must not hold control characters": "“%”含有无法保存的字符。",
  "% looks like a card number: # to # digits that pass its check. Card numbers are never stored; if it is something else, put a letter between the digits":
    "“%”看起来像银行卡号（# 至 # 位数字）。本系统绝不保存卡号；如果不是卡号，请在数字之间加一个字母。",
  "This form is not known here": "无法识别此表单，请重新打开页面。",
  "The form cannot be read": "无法读取此表单，请重新提交。",

  // Sign-up and sign-in
  "% must be an e-mail address like name@example.com": email,
  "% must be a number with its country code, like +# # #": mobile,
  "% must be in the international form, such as +# # #": mobile,
  "% must not be your e-mail address": "密码不能与邮箱相同。",
  "% is one of the first that anybody would guess": "此密码太容易被猜到，请换一个。",
  "The e-mail address or the password is not right": auth.problems.wrong,
  "The password is not right": "密码不正确。",
  "% is not right, or was used already": auth.problems.code,
  "No such link: it was used already, or is too old": auth.problems.link,
  "This is not the text in force: read it again": changed,
  "The hash is not that of the published text: read it again": changed,
  "Accept the privacy statement to go on": "请接受隐私声明后继续。",
  "Accept the terms to go on": "请接受条款后继续。",
  "Only an owner can accept for the account": "只有账户所有者可以代表账户接受。",
  "An authenticator app is set up already: remove it first": "已设置身份验证器应用，请先移除。",
  "No authenticator app is being set up: begin again": "当前没有正在设置的身份验证器应用，请重新开始。",
  "No such factor: no authenticator app is set up": "尚未设置身份验证器应用。",
  "No such passkey": "没有此通行密钥。",
  "No such session": "没有此会话。",

  // Profile
  "% is your address already": "这已经是您的邮箱。",
  "No such link: it was used, it is over, or it belongs to another account": over,
  "No such link: it was used": over,
  "This address belongs to an account already": "此邮箱已属于另一个账户。",
  "% must be two capital letters, such as DE (ISO #-#)": "“%”须为两个大写字母，例如 CN。",
  "Only the account's owner can change this": "只有账户所有者可以修改。",
  "% must have # to # characters, none of them a control character": "“%”须为 # 至 # 个字符。",

  // Devices
  "% must be digits only": "“%”只能包含数字。",
  "% must have # digits, this one has #": "“%”须为 # 位数字，您输入了 # 位。",
  "% has a typing error: with these first # digits the last would be #":
    "“%”有误：按前 # 位计算，最后一位应为 #。请核对标签。",
  "% is required: it is on the tracker's box": "请输入包装盒上的激活码。",
  "No such tracker, or the code is wrong": "没有此定位器，或激活码不正确。",
  "You have activated this tracker already": "您已激活过这台定位器。",
  "A device with this IMEI is registered already": "此 IMEI 的设备已登记。",
  "Who is limited to some devices cannot add one; ask the account's owner":
    "您只能使用部分设备，不能添加设备。请联系账户所有者。",
  "The device was changed by another request; read it again": "设备刚被他人修改，请重新打开页面。",
  "You may see this device and not change it": "您可以查看这台设备，但不能修改。",
  "No such device": "没有此设备。",
  "% must be at most # plain letters, digits and signs, without blanks or commas":
    "“%”最多 # 个英文字母、数字和符号，不能有空格或逗号。",
  "% must be a multiple of # from # to #": "“%”须为 # 的倍数，范围 # 至 #。",
  "% must be four digits": "“%”须为四位数字。",
  "% must be a phone number like +# # #": "“%”须为电话号码，例如 +86 139 1234 5678。",
  "The host name of the platform has more than the # characters that a tracker takes: ask the operator for a shorter one":
    "平台的主机名超过定位器支持的 # 个字符，请向运营方索取较短的主机名。",

  // People, keys, support
  "This person is a member already; change their role instead": "对方已是成员，请直接修改其角色。",
  "An account has # members at most": "一个账户最多 # 名成员。",
  "This person has taken the invitation already": "对方已接受邀请。",
  "An account needs an owner who can sign in: make somebody else an owner first":
    "账户需要一位可以登录的所有者，请先将其他人设为所有者。",
  "% has # entries at most": "“%”最多 # 项。",
  "% must name at least one": "请至少选择一台设备。",
  "% must be read: you may see one of these devices and not change it": "您只能查看其中某台设备，“%”须为读取。",
  "An account has # keys at most: revoke one first": "一个账户最多 # 个密钥，请先吊销一个。",
  "No such key": "没有此密钥。",
  "No such key, or it is revoked already": "没有此密钥，或已吊销。",
  "A window is open already: close it first, or let it end": "已有授权正在进行，请先结束它。",
  "No such window": "没有此授权。",

  // The operator's panel
  "% must have # to # characters on one line": "“%”须为 # 至 # 个字符，且在一行内。",
  "% must be a host name like tracking.example.com, without a scheme or port":
    "“%”须为主机名，例如 tracking.example.com。",
  "% must be an address that begins with https://": "“%”须以 https:// 开头。",
  "% must be a PNG, JPEG or WebP image": "“%”须为 PNG、JPEG 或 WebP 图片。",
  "% must have at most # KiB": "“%”最多 # KiB。",
  "% must be in the future, at most # days ahead": "“%”须在今后 # 天之内。",
  "Somebody has this address already": "此邮箱已有账户。",
  "This hostname has a brand already": "此主机名已有品牌。",
  "texts must hold one in English: it is shown where a language is missing": "请填写英文文本：缺少某种语言时显示英文。",
  "This is the last administrator: name another one first": "这是最后一位管理员，请先指定另一位。",

  // Pages in place of another
  "Your role does not do": "您的角色不允许此操作。所有者或管理员可以更改。",
  "No such path": "请检查地址，或从首页开始。",
  "Your training is not attested, or has run out: until it is, only your own profile works":
    "您的培训未经确认或已过期：在此之前只能使用个人资料。",
  "Something went wrong here; the request id helps to find it": "系统出错，请求编号有助于查找原因。",
  "This request comes from another site": "此请求来自其他网站，请直接在本页操作。",
  "This account is suspended or closing: you can still read, export and erase":
    "账户已暂停或正在注销：您仍可查看、导出和删除。",
  "The database does not answer; try again": "数据库暂时没有响应，请稍后重试。",
};
