import assert from 'node:assert/strict';
import { organizationUrls, sameOrganization } from '../../../tasks/core/azureDevOps/organizationUrl';

describe('organizationUrls', () => {
  const cases: [string, string, string][] = [
    ['https://dev.azure.com/contoso', 'https://dev.azure.com/contoso', 'https://vsrm.dev.azure.com/contoso'],
    ['https://dev.azure.com/contoso/', 'https://dev.azure.com/contoso', 'https://vsrm.dev.azure.com/contoso'],
    ['https://vsrm.dev.azure.com/contoso/', 'https://dev.azure.com/contoso', 'https://vsrm.dev.azure.com/contoso'],
    ['contoso', 'https://dev.azure.com/contoso', 'https://vsrm.dev.azure.com/contoso'],
    ['https://contoso.visualstudio.com/', 'https://contoso.visualstudio.com', 'https://contoso.vsrm.visualstudio.com'],
    ['https://contoso.vsrm.visualstudio.com', 'https://contoso.visualstudio.com', 'https://contoso.vsrm.visualstudio.com'],
    ['https://contoso.visualstudio.com/DefaultCollection/', 'https://contoso.visualstudio.com', 'https://contoso.vsrm.visualstudio.com'],
    ['https://tfs.example.com:8443/tfs/Main/', 'https://tfs.example.com:8443/tfs/Main', 'https://tfs.example.com:8443/tfs/Main'],
    ['http://tfs/Default%20Collection', 'http://tfs/Default%20Collection', 'http://tfs/Default%20Collection'],
  ];
  for (const [text, core, release] of cases) {
    it(`reads ${text}`, () => assert.deepEqual(organizationUrls(text), { core, release }));
  }

  for (const text of ['', 'dev.azure.com/contoso', 'ftp://dev.azure.com/contoso', 'https://dev.azure.com', 'https://dev.azure.com/contoso/shop', 'https://contoso.visualstudio.com/shop', 'https://me:pat@dev.azure.com/contoso', 'my organization']) {
    it(`refuses '${text}' without showing credentials`, () => {
      assert.throws(() => organizationUrls(text), (error) => error instanceof RangeError && !error.message.includes('pat@'));
    });
  }
});

describe('sameOrganization', () => {
  const same = (one: string, other: string) => sameOrganization(organizationUrls(one), organizationUrls(other));
  it('knows the old and the new address of one organization', () => assert.ok(same('https://Contoso.visualstudio.com', 'https://dev.azure.com/contoso')));
  it('tells two organizations of one host apart', () => assert.ok(!same('https://dev.azure.com/contoso', 'https://dev.azure.com/fabrikam')));
  it('tells two collections of one server apart', () => assert.ok(!same('https://tfs/tfs/One', 'https://tfs/tfs/Two')));
});
