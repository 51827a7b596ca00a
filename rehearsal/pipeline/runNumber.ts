/** The service's own format of run numbers. */
const DEFAULT_FORMAT = '$(Date:yyyyMMdd)$(Rev:.r)';

/**
 * The number of a run by the format under `name` ("Run (build) numbers" of the Azure Pipelines documentation).
 *
 * @param revision how many runs have had the same number but for it, and one more
 * @param variable what other names in the format stand for; those it does not know stay as they are
 */
export function runNumber(format: string | undefined, at: Date, revision: number, variable: (name: string) => string | undefined): string {
  const number = (format ?? DEFAULT_FORMAT).replace(/\$\(([^)]+)\)/g, (whole, token: string) => {
    const [name = '', argument] = splitToken(token);
    switch (name.toLowerCase()) {
      case 'date':
        return dateText(at, argument ?? 'yyyyMMdd');
      case 'year':
        return dateText(at, argument ?? 'yyyy');
      case 'rev':
        return revisionText(argument ?? '.r', revision);
      case 'month':
        return String(at.getUTCMonth() + 1);
      case 'dayofmonth':
        return String(at.getUTCDate());
      case 'dayofyear':
        return String(Math.floor((at.getTime() - Date.UTC(at.getUTCFullYear(), 0)) / 86_400_000) + 1);
      case 'hours':
        return String(at.getUTCHours());
      case 'minutes':
        return String(at.getUTCMinutes());
      case 'seconds':
        return String(at.getUTCSeconds());
      default:
        return variable(ALIASES[name.toLowerCase()] ?? token) ?? whole;
    }
  });
  return number;
}

/** Short names that formats may use for variables. */
const ALIASES: Readonly<Record<string, string>> = {
  buildid: 'Build.BuildId',
  builddefinitionname: 'Build.DefinitionName',
  definitionname: 'Build.DefinitionName',
  sourcebranchname: 'Build.SourceBranchName',
  teamproject: 'System.TeamProject',
};

function splitToken(token: string): [string, string | undefined] {
  const colon = token.indexOf(':');
  return colon < 0 ? [token, undefined] : [token.slice(0, colon), token.slice(colon + 1)];
}

/** `.r` and `r` as they are, `rrr` with leading zeros. */
function revisionText(format: string, revision: number): string {
  return format.replace(/r+/i, (letters) => String(revision).padStart(letters.length, '0'));
}

/** .NET's letters for parts of a date, in UTC; other characters stay. */
function dateText(at: Date, format: string): string {
  const parts: Readonly<Record<string, number>> = {
    y: at.getUTCFullYear(), M: at.getUTCMonth() + 1, d: at.getUTCDate(), H: at.getUTCHours(), h: at.getUTCHours() % 12 || 12,
    m: at.getUTCMinutes(), s: at.getUTCSeconds(),
  };
  return format.replace(/([yMdHhms])\1*/g, (letters) => {
    const text = String(parts[letters.charAt(0)] ?? '').padStart(letters.length, '0');
    return letters.startsWith('yy') && letters.length === 2 ? text.slice(-2) : text;
  });
}
