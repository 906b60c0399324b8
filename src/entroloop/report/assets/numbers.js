// Numbers as the page writes them: system/numbers.py says how.

const MISSING = "–";

function shown(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return MISSING;
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  let text;
  if (size === 0) return "0";
  if (size >= 999.5 && size < 1e9) text = Math.round(value).toLocaleString("en");
  else if (size >= 1e-3 && size < 1e9) text = value.toPrecision(3);
  else text = value.toExponential(2).replace("e+", "e");
  return text.replaceAll("-", "−");
}

// A mark of an axis: as it was chosen, without zeros at its end.
function tick(value) {
  const size = Math.abs(value);
  const text = size && (size < 1e-3 || size >= 1e9) ? Number(value.toPrecision(6)).toExponential().replace("e+", "e")
    : (value || 0).toLocaleString("en", { maximumSignificantDigits: 6 }); // never −0
  return text.replaceAll("-", "−");
}

// Places for the marks of an axis between two values: steps of 1, 2 or 5 times a power of ten.
function ticksBetween(low, high, about, whole) {
  const rough = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  if (whole) step = Math.max(1, Math.round(step));
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
  return found;
}

// The same where equal ratios have equal lengths: powers of ten, not all of them if many, and 2 and 5
// times them, or 3 times, if few; over less than that the places of a linear axis.
function logTicksBetween(low, high) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const step = Math.max(1, Math.ceil((last - first) / 7));
  for (const factors of high / low > 200 ? [[1], [1, 3]] : [[1, 2, 5]]) {
    const found = [];
    for (let p = Math.ceil(first / step) * step; p <= last; p += step) {
      for (const factor of factors) {
        const value = factor * 10 ** p;
        if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
      }
    }
    if (found.length > 2) return found;
  }
  return ticksBetween(low, high, 4).filter((value) => value > 0);
}
