import type { collection as en } from "./collection-en.ts";

export const collection: typeof en = {
  title: "每条位置存储哪些内容",
  lead: "您选择不存储的内容会在位置到达时、存储之前去除。此后任何人都无法取得。",
  link: "每条位置存储哪些内容",
  speed: "速度",
  speedHint: "来自接收机、行车记录仪和车轮的速度，以及行程和超速记录中的速度。",
  cell: "移动网络和 WiFi",
  cellHint: "定位器附近的基站和接入点。它们也会透露所在位置。",
  driver: "驾驶员",
  driverHint: "驾驶员出示的卡或钥匙、摄像头的图片和告警，以及人员携带的信标。",
  coordinates: "坐标",
  exact: "与定位器发送的一致",
  decimals: { 4: "精确到约 10 米", 3: "精确到约 100 米", 2: "精确到约 1 公里" },
  coordinatesHint: "降低精度时，也会去除邻近基站、接入点以及其他会透露更多位置信息的内容。",
  unknown: "只要有内容不存储，定位器发送的含义不明的内容也会去除：它们可能以其他形式表达同样的信息。",
  fromNow: "从现在起生效。已存储的内容保持不变，直到期限结束或您删除定位器。",
  save: "保存",
};
