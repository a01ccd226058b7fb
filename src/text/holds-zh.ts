import type { MailTexts } from "./mails.ts";

export const holdMails: Pick<MailTexts, "holdReview"> = {
  holdReview: ({ count }) => ({
    subject: `${count} 项保留令需要复核`,
    lines: [
      "请核实其所保留的内容是否仍须保留。在此之前保留令继续有效，直至到期。",
      "请说明理由后延长复核期限，或解除保留令。",
    ],
    action: "查看",
  }),
};

export const holdActs: Record<string, string> = {
  "legal.granted": "您可以处理因法律原因保留的内容",
  "legal.withdrawn": "您不再可以处理因法律原因保留的内容",
};
