import type { MailTexts } from "./mails.ts";

export const holdMails: Pick<MailTexts, "holdReview"> = {
  holdReview: ({ count }) => ({
    subject: count === "1" ? "A hold is to be reviewed" : `${count} holds are to be reviewed`,
    lines: [
      "Somebody has to look whether what they keep must still be kept. Until then they go on, to their end.",
      "Extend the review with a reason, or release them.",
    ],
    action: "Look at them",
  }),
};

export const holdActs: Record<string, string> = {
  "legal.granted": "You may handle what is kept for a legal reason",
  "legal.withdrawn": "You may no longer handle what is kept for a legal reason",
};
