import type { profile as en } from "../en/profile.ts";

export const profile: typeof en = {
  losses: {
    email: "必填:没有邮箱就无法建立账户。",
    name: "不填写时:账户内的其他成员只能看到您的邮箱地址。",
    mobile: "不填写时:所有功能照常使用。本系统不发送短信。",
    shippingAddress: "不填写时:无法向您寄送定位器。",
    billingAddress: "不填写时:无法开具发票。",
    paymentMode: "不填写时:无法开具发票。",
    language: "不填写时:页面和邮件使用英文。",
    units: "不填写时:距离和速度使用公制单位。",
    timeZone: "不填写时:时间按 UTC 显示。",
    personalisation: "关闭时:仅不显示最近查看过的设备。",
    searchHistory: "关闭时:仅不显示最近的搜索。",
    imei: "不填写时:无法将定位器加入账户。",
    location: "没有位置数据时:没有地图、历史轨迹和导出。您可以让定位器停止发送。",
  },
};
