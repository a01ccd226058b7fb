import { encode } from "uqr";

/**
 * A QR code as SVG, without any style of its own, which the pages' Content-Security-Policy would refuse.
 * @param label what it holds, for who cannot see it; absent: the drawing is a file of its own
 */
export function qrSvg(text: string, label?: string): string {
  const { size, data } = encode(text, { ecc: "M", border: 2 });
  let path = "";
  for (const [y, row] of data.entries()) {
    for (let x = 0; x < size; x++) {
      const start = x;
      while (row[x] === true) x++;
      if (x > start) path += `M${start} ${y}h${x - start}v1h-${x - start}z`;
    }
  }
  const said = label === undefined ? "" : ` class="qr" role="img" aria-label="${label.replaceAll(/[<>&"]/g, "")}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size} ${size}" shape-rendering="crispEdges"${said}><path fill="#fff" d="M0 0h${size}v${size}H0z"/><path d="${path}"/></svg>\n`;
}
